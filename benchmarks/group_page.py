"""Time to load the page of a group in Chromium, and its size.

    python benchmarks/group_page.py --rows 2000

Loaded is when all plots are drawn and the next frame is on the screen.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from bids_gan.reports.group import write_group
from bids_gan.reports.numbers import known_numbers

DRAWN = """new Promise((done) => requestAnimationFrame(() => setTimeout(
    () => done(performance.now()))))"""


def simulate(folder: Path, rows: int) -> Path:
    """Page of a group of one run a person, with random quality numbers."""
    draw = random.Random(0)
    for n in range(rows):
        person = f"sub-{n:04}"
        numbers = {name: draw.gauss(1, 0.1) for name in known_numbers()}
        quality = {"accepted": draw.random() < 0.9, "reasons": [], **numbers}
        (folder / person / "dwi").mkdir(parents=True)
        path = folder / person / "dwi" / f"{person}_dir-AP_desc-preproc_dwi.json"
        path.write_text(json.dumps({"SDCQuality": quality}))
        (folder / f"{person}.html").touch()
    start = time.perf_counter()
    write_group(folder)
    print(f"{rows} rows written in {time.perf_counter() - start:.1f} s")
    return folder / "group.html"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--loads", type=int, default=7)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="executable")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = simulate(Path(folder), args.rows)
        print(f"{page_file.stat().st_size / 1e6:.1f} MB")
        browser = driver.chromium.launch(executable_path=args.chromium)
        seconds = []
        for _ in range(args.loads):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(page_file.as_uri())
            seconds.append(page.evaluate(DRAWN) / 1000)
            page.close()
        browser.close()
    times = ", ".join(f"{s:.2f}" for s in sorted(seconds))
    print(f"loaded in {statistics.median(seconds):.2f} s (median of {len(seconds)}: {times})")


if __name__ == "__main__":
    main()
