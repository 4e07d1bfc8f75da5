"""Figures as SVG, small: a person has dozens of them, most with thousands of points.

Text is written as outlines, so that it looks the same everywhere.
"""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path

from bids_gan.bids.outputs import write_text

DPI = 110
#: of WebP, 0 to 100; noise makes lossless slices ten times as large and shows nothing more
PICTURE_QUALITY = 88


def to_svg(fig) -> str:
    """Serialise a figure; the same input, the same bytes.

    Parameters
    ----------
    fig : matplotlib.figure.Figure

    Returns
    -------
    str
        An ``<svg>`` element without width and height: the page, or the frame of a flicker
        figure, gives the size.
    """
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "bids-gan", "svg.fonttype": "path"}):
        fig.savefig(
            text, format="svg", dpi=DPI, facecolor=fig.get_facecolor(), metadata={"Date": None}
        )
    svg = text.getvalue()
    svg = re.sub(r' (?:width|height)="[^"]*"', "", svg[svg.index("<svg") :], count=2)
    svg = re.sub(r' d="([^"]*)"', lambda found: f' d="{shorten_path(found[1])}"', svg)
    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _png_to_webp, svg)


def shorten_path(path: str) -> str:
    """Write an SVG path with a tenth of a point, and lines as steps instead of places.

    Parameters
    ----------
    path : str
        With the absolute commands that Matplotlib writes: M, L, z, and Q or C in glyphs.

    Returns
    -------
    str
        The same drawing. Steps are differences of rounded places, so that errors do not add up.
    """
    shorter, before = [], ""
    here = start = (0, 0)
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        tenths = [round(10 * float(number)) for number in numbers.split()]
        if command == "L":
            step = tenths[0] - here[0], tenths[1] - here[1]
            if step != (0, 0):
                shorter.append((" " if before == "l" else "l") + " ".join(map(_tenths, step)))
                before = "l"
        else:
            shorter.append(command + " ".join(map(_tenths, tenths)))
            before = command
        here = start if command == "z" else tuple(tenths[-2:])
        start = here if command == "M" else start
    return "".join(shorter).replace(" -", "-")


def _tenths(value: int) -> str:
    """``-7`` as ``-.7``, ``20`` as ``2``."""
    whole, rest = divmod(abs(value), 10)
    number = f"{whole or ''}.{rest}" if rest else str(whole)
    return f"-{number}" if value < 0 else number


def _png_to_webp(match: re.Match) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as png:
        packed = io.BytesIO()
        png.convert("RGB").save(packed, "WEBP", quality=PICTURE_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()


_FLICKER = """\
<style>
@keyframes flicker { 0% { opacity: 1 } 100% { opacity: 0 } }
.foreground-svg { animation: 1s ease-in-out alternate infinite paused flicker }
svg:is(:hover, :focus) > .foreground-svg { animation-play-state: running }
@media (prefers-reduced-motion: reduce) {
  .foreground-svg { animation: none }
  svg:is(:hover, :focus) > .foreground-svg { opacity: 0 }
}
</style>"""


def flicker(before: str, after: str) -> str:
    """Lay two SVG pictures of one size over each other; pointer or focus makes the upper one fade.

    The class name and the movement are those of the flicker figures of NiReports.
    """
    view = re.search(r'viewBox="[^"]*"', before)[0]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} preserveAspectRatio="xMidYMid meet" '
        'tabindex="0">\n'
        f'{_FLICKER}\n<g class="background-svg">{after}</g>\n'
        f'<g class="foreground-svg">{before}</g>\n</svg>\n'
    )


def save_svg(svg: str, out_file: str | os.PathLike) -> Path:
    """Write a figure whole or not at all; returns its absolute path."""
    path = Path(out_file).absolute()
    write_text(path, svg)
    return path
