"""What can be said of the looks of a part of a page."""

from __future__ import annotations

from io import BytesIO

from PIL import Image


def count_colours(part) -> int:
    """How many different colours a part of a page (Playwright's locator) shows."""
    return len(Image.open(BytesIO(part.screenshot())).convert("RGB").getcolors(1 << 24))
