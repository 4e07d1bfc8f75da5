"""The report of one person as people use it."""

from __future__ import annotations

import re

import pytest
import yaml
from looks import count_colours

from bids_gan.reports.numbers import DATA


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_report_fits_and_is_accessible(visit, report, width, scheme):
    page = visit(report, width, scheme)
    good, withdrawn = (page.locator(f"tr:has-text('dir-{way}') .state") for way in ("AP", "PA"))
    assert "good" in good.get_attribute("class")
    assert "attention" in withdrawn.get_attribute("class")
    page.locator("#Errors summary").click()
    assert "ValueError: long_long" in page.locator("#Errors pre").inner_text()


def test_every_figure_of_every_run_is_drawn(visit, report):
    page = visit(report)
    spec = yaml.safe_load((DATA / "reports-spec.yml").read_text())
    parts = [part["bids"] for section in spec["sections"] for part in section["reportlets"]]
    runs = {
        f"dir-{way}_desc-{part['desc']}_dwi"
        for part in parts
        for way in ("AP", "PA")
        if part["extension"] == [".svg"] and part["suffix"] == "dwi"
    }
    shown = page.locator("main :is(img, object)")
    places = [one.get_attribute("src") or one.get_attribute("data") for one in shown.all()]
    files = {path.stem.removeprefix("sub-01_") for path in report.parent.rglob("*.svg")}
    names = [re.search(r"sub-01_([^/]*)\.svg", place)[1] for place in places]
    assert sorted(names) == sorted(files) == sorted({"desc-anatomy_T1w", "desc-synth_FA"} | runs)
    for one, name in zip(shown.all(), names, strict=True):
        one.scroll_into_view_if_needed()
        assert count_colours(one) > 10, name


def test_figures_can_be_read_on_a_narrow_screen(visit, report):
    page = visit(report, 400)
    figure = page.locator("object[data*=dir-AP_desc-sdcFA]")
    assert figure.bounding_box()["width"] > 800
    around = figure.locator("xpath=ancestor::*[@role='region']")
    around.evaluate("region => { region.scrollLeft = 300; }")
    assert around.evaluate("region => region.scrollLeft") == 300


UPPER = "Number(getComputedStyle(document.querySelector('.foreground-svg')).opacity)"


def flicker_of(page):
    """A flicker figure of the report in sight, and the document inside it."""
    figure = page.locator("object[data*=dir-AP_desc-sdcFA]")
    figure.scroll_into_view_if_needed()
    (frame,) = (frame for frame in page.frames if "dir-AP_desc-sdcFA" in frame.url)
    frame.wait_for_selector(".foreground-svg")
    return figure, frame


def test_flicker_shows_the_other_state_under_the_pointer(visit, report):
    page = visit(report)
    figure, frame = flicker_of(page)
    assert frame.evaluate(UPPER) == 1
    before = figure.screenshot()
    figure.hover()
    assert frame.evaluate(UPPER) == 0
    assert figure.screenshot() != before
    page.mouse.move(0, 0)
    assert frame.evaluate(UPPER) == 1


def test_tab_key_goes_into_the_flicker_and_out_again(visit, report):
    page = visit(report)
    figure, frame = flicker_of(page)
    before = figure.screenshot()
    figure.locator("xpath=ancestor::*[@role='region']").focus()
    page.keyboard.press("Tab")
    assert frame.evaluate("document.hasFocus() && document.activeElement.tagName") == "svg"
    assert frame.evaluate(UPPER) == 0
    assert figure.screenshot() != before
    page.keyboard.press("Tab")
    assert not frame.evaluate("document.hasFocus()")
    assert frame.evaluate(UPPER) == 1


@pytest.mark.parametrize("reach", ["pointer", "key"])
def test_flicker_fades_to_and_fro_for_those_who_like_motion(visit, report, reach):
    page = visit(report, motion="no-preference")
    figure, frame = flicker_of(page)
    assert frame.evaluate(UPPER) == 1
    before = figure.screenshot()
    if reach == "pointer":
        figure.hover()
    else:
        figure.locator("xpath=ancestor::*[@role='region']").focus()
        page.keyboard.press("Tab")
    frame.wait_for_function(f"{UPPER} < 0.5")
    assert figure.screenshot() != before
    frame.wait_for_function(f"{UPPER} > 0.9")
    frame.wait_for_function(f"{UPPER} < 0.1")


def test_one_click_leads_to_the_volumes_and_another_back(visit, report):
    page = visit(report)
    page.get_by_role("link", name="Look through the volumes").click()
    page.wait_for_selector("body[data-drawn]")
    page.get_by_role("link", name="Back to the report").click()
    assert page.url == report.as_uri()
