"""Pages in a real browser: Chromium without a window, and what it complains about."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_session import make_session

from bids_gan.reports.subject import write_subject_reports

AXE = Path(__file__).parent / "axe" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The report of the small session; made once, for tests that only look at it."""
    settings, plan = make_session(tmp_path_factory.mktemp("session"))
    (path,) = write_subject_reports(settings, plan)
    return path


@pytest.fixture(scope="session")
def viewer(report) -> Path:
    """The page with the volumes of the small session."""
    (path,) = report.parent.rglob("*_viewer.html")
    return path


@pytest.fixture(scope="session")
def launch():
    """Start the browser with some options; the test is skipped where it is not installed."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e .[test]"
    )
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(
            "Chromium is not installed: apt-get install chromium (see docs/development.md)"
        )
    with playwright.sync_playwright() as driver:
        yield lambda *options: driver.chromium.launch(executable_path=found, args=options)


@pytest.fixture(scope="session")
def chromium(launch):
    """The browser."""
    # WebGL is drawn by the processor: machines that test have no graphics card. All else is drawn
    # without a detour through it, on which a plot of 2000 points takes half a minute.
    webgl = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    browser = launch(*webgl, "--disable-gpu-rasterization")
    yield browser
    browser.close()


@pytest.fixture
def visit(chromium):
    """Open a file in a window of some width and colour scheme, for people who like motion or not.

    At the end of the test the pages must not have logged an error, asked for anything but files,
    been wider than the window, or have a serious fault of accessibility. The latter is not looked
    for in a `large` page, where it takes minutes.
    """
    opened, complaints = [], []

    def open_page(path: Path, width=1280, scheme="light", *, large=False, motion="reduce"):
        viewport = {"width": width, "height": 900}
        page = chromium.new_page(viewport=viewport, color_scheme=scheme, reduced_motion=motion)
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: _is_remote(r.url) and complaints.append(r.url))
        page.goto(path.as_uri())
        opened.append((page, large))
        return page

    yield open_page
    for page, large in opened:
        if page.url.startswith("file:"):
            complaints += _layout_faults(page) + ([] if large else _accessibility_faults(page))
        page.close()
    assert not complaints


def _is_remote(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))


def _layout_faults(page) -> list[str]:
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [f"{page.url} is {wide} pixels too wide"] if wide > 0 else []


def _accessibility_faults(page) -> list[str]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
