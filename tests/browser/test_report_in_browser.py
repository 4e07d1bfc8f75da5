"""The report of one person as people use it."""

from __future__ import annotations

import pytest
from small_session import make_session

from bids_gan.reports.subject import write_subject_reports


@pytest.fixture
def report(tmp_path):
    settings, plan = make_session(tmp_path)
    (path,) = write_subject_reports(settings, plan)
    return path


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1280, "light")])
def test_report_fits_and_is_accessible(visit, report, width, scheme):
    page = visit(report, width, scheme)
    assert page.locator("#Summary .state.good").first.is_visible()


def test_figures_can_be_read_on_a_narrow_screen(visit, report):
    page = visit(report, 400)
    figure = page.locator("object[data*=sdcFA]")
    assert figure.bounding_box()["width"] > 800
    around = figure.locator("xpath=ancestor::*[@role='region']")
    around.evaluate("region => { region.scrollLeft = 300; }")
    assert around.evaluate("region => region.scrollLeft") == 300


def test_flicker_shows_the_other_state_under_the_pointer_and_with_focus(visit, report):
    page = visit(report)
    figure = page.locator("object[data*=sdcFA]")
    figure.scroll_into_view_if_needed()
    (frame,) = (frame for frame in page.frames if "sdcFA" in frame.url)
    frame.wait_for_selector(".foreground-svg")
    upper = "getComputedStyle(document.querySelector('.foreground-svg')).opacity"
    assert frame.evaluate(upper) == "1"
    before = figure.screenshot()
    figure.hover()
    assert frame.evaluate(upper) == "0"
    assert figure.screenshot() != before
    page.mouse.move(0, 0)
    assert frame.evaluate(upper) == "1"
    frame.locator("svg").first.focus()
    assert frame.evaluate(upper) == "0"


def test_one_click_leads_to_the_volumes_and_another_back(visit, report):
    page = visit(report)
    page.get_by_role("link", name="Look through the volumes").click()
    page.wait_for_selector("body[data-drawn]")
    page.get_by_role("link", name="Back to the report").click()
    assert page.url == report.as_uri()
