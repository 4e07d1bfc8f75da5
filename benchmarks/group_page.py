"""Time to load the page of a group in Chromium, and its size.

    python benchmarks/group_page.py --rows 2000

Loaded is when all plots are drawn and the next frame is on the screen. A page that shows all rows
of its table at once is loaded in turn with it. The exit code is 1 when the page takes too long.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bids_gan.reports.group import write_group
from bids_gan.reports.numbers import known_numbers

DRAWN = """new Promise((done) => requestAnimationFrame(() => setTimeout(
    () => done(performance.now()))))"""


def simulate(folder: Path, rows: int) -> Path:
    """Page of a group of different people, one run each, with random quality numbers."""
    draw = random.Random(0)
    for n in range(rows):
        person = f"sub-{n:04}"
        numbers = {name: draw.gauss(1, 0.1) for name in known_numbers()}
        quality = {"accepted": draw.random() < 0.9, "reasons": [], **numbers}
        (folder / person / "dwi").mkdir(parents=True)
        path = folder / person / "dwi" / f"{person}_dir-AP_desc-preproc_dwi.json"
        path.write_text(json.dumps({"SDCQuality": quality}))
        (folder / f"{person}.html").touch()
    write_group(folder)
    return folder / "group.html"


def all_at_once(page_file: Path) -> Path:
    """The same page with a table of which no row waits."""
    html = page_file.read_text(encoding="utf-8").replace("<tr hidden>", "<tr>")
    other = page_file.with_name("all.html")
    other.write_text(re.sub(r'data-rows="\d+"', 'data-rows="1000000"', html), encoding="utf-8")
    return other


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--loads", type=int, default=7)
    parser.add_argument("--limit", type=float, default=3.0, help="seconds that a load may take")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="executable")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        start = time.perf_counter()
        page_file = simulate(Path(folder), args.rows)
        print(f"{args.rows} people written in {time.perf_counter() - start:.1f} s")
        print(f"{page_file.stat().st_size / 1e6:.1f} MB")
        pages = {"as it is": page_file, "all rows at once": all_at_once(page_file)}
        browser = driver.chromium.launch(executable_path=args.chromium)
        seconds = {name: [] for name in pages}
        for _ in range(args.loads):
            for name, path in pages.items():
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.goto(path.as_uri())
                seconds[name].append(page.evaluate(DRAWN) / 1000)
                page.close()
        browser.close()
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, each in seconds.items():
        times = ", ".join(f"{s:.2f}" for s in sorted(each))
        print(f"{name}: loaded in {medians[name]:.2f} s (median of {times})")
    if medians["as it is"] > args.limit:
        sys.exit(f"too slow: at most {args.limit:g} s are accepted")


if __name__ == "__main__":
    main()
