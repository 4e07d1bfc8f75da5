"""The group page as people use it."""

from __future__ import annotations

import csv
import json

import pytest
from group_page import DRAWN, simulate

from bids_gan.reports import group_page
from bids_gan.reports.group import write_group
from bids_gan.reports.numbers import known_numbers

PEOPLE = 12


@pytest.fixture
def group(tmp_path):
    return write_people(tmp_path)


def write_people(tmp_path, people=PEOPLE):
    """Some people; the last has no report, the third a number far from the others."""
    for n in range(people):
        person = f"sub-{n:02}"
        folder = tmp_path / person / "dwi"
        folder.mkdir(parents=True)
        numbers = dict.fromkeys(known_numbers(), 1 + 0.01 * (n * 7 % PEOPLE))
        if n == 2:
            numbers["overlap"] = 0.1
        quality = {"accepted": n != 5, "reasons": [] if n != 5 else ["no gain"], **numbers}
        path = folder / f"{person}_dir-AP_desc-preproc_dwi.json"
        path.write_text(json.dumps({"SDCQuality": quality}))
        if n < people - 1:
            page = f'<!DOCTYPE html><html lang="en"><title>{person}</title><main><h1>{person}</h1>'
            (tmp_path / f"{person}.html").write_text(page)
    write_group(tmp_path)
    return tmp_path / "group.html"


def shown(page):
    return page.locator("tbody tr:visible td:first-child").all_inner_texts()


def drawn(page, number):
    """How many points the plot of a number shows, and how many of them are flagged."""
    plot = page.locator("svg").nth(list(known_numbers()).index(number))
    paths = plot.locator(".points:not(.chosen)").all()
    counts = [(path.get_attribute("d") or "").count("M") for path in paths]
    return sum(counts), counts[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_page_fits_and_is_accessible(visit, group, width, scheme):
    page = visit(group, width, scheme)
    assert drawn(page, "overlap") == (PEOPLE, 1)
    assert drawn(page, "fd_max_mm") == (PEOPLE, 0)


@pytest.mark.parametrize("width", [400, 1280])
def test_page_of_one_person(visit, tmp_path, width):
    page = visit(write_people(tmp_path, 1), width)
    assert "1 diffusion run of 1 person:" in page.locator("main > p").first.inner_text()
    assert {drawn(page, number) for number in known_numbers()} == {(1, 0)}
    page.get_by_role("button", name="Overlap of the brain masks").click()
    assert shown(page) == ["sub-00"]
    page.get_by_label("flagged ones only").check()
    assert shown(page) == []
    assert page.locator("#count").inner_text() == "0 of 1 rows fit"


def test_sorting_by_a_number_and_back(visit, group):
    page = visit(group)
    before = shown(page)
    heading = page.get_by_role("button", name="Overlap of the brain masks")
    heading.press("Enter")
    assert shown(page)[0] == "sub-02"
    heading.press("Enter")
    assert shown(page)[-1] == "sub-02"
    page.get_by_role("button", name="participant_id").click()
    assert shown(page) == before


def test_filter_narrows_table_and_plots(visit, group):
    page = visit(group)
    page.get_by_label("Show runs with").fill("no gain false")
    assert shown(page) == ["sub-05"]
    assert drawn(page, "fd_max_mm") == (1, 0)
    assert page.locator("#count").inner_text() == f"1 of {PEOPLE} rows fit"
    page.get_by_label("Show runs with").fill("")
    page.get_by_label("flagged ones only").check()
    assert shown(page) == ["sub-02"]
    assert drawn(page, "overlap") == (1, 1)


def test_rows_beyond_the_first_wait_but_are_sorted_and_filtered(visit, tmp_path, monkeypatch):
    monkeypatch.setattr(group_page, "_AT_ONCE", 5)
    page = visit(write_people(tmp_path))
    more = page.get_by_role("button", name="more rows")
    assert len(shown(page)) == 5
    assert drawn(page, "overlap") == (PEOPLE, 1)
    page.get_by_role("button", name="Overlap of the brain masks").click()
    page.get_by_role("button", name="Overlap of the brain masks").click()
    assert len(shown(page)) == 5
    assert "sub-02" not in shown(page)
    more.press("Enter")
    more.press("Enter")
    assert len(shown(page)) == PEOPLE
    assert shown(page)[-1] == "sub-02"
    assert more.is_hidden()
    page.get_by_label("Show runs with").fill("sub-11")
    assert shown(page) == ["sub-11"]
    page.get_by_label("Show runs with").fill("")
    assert len(shown(page)) == 5


def test_two_thousand_people_are_drawn_sorted_and_filtered(visit, tmp_path):
    path = simulate(tmp_path, 2000)
    assert path.stat().st_size < 10e6
    with (tmp_path / "group_desc-sdc_qc.tsv").open(newline="") as table:
        overlap = {
            row["participant_id"]: float(row["overlap"])
            for row in csv.DictReader(table, delimiter="\t")
        }
    assert len(overlap) == 2000
    page = visit(path, large=True)
    page.evaluate(DRAWN)
    assert {drawn(page, number)[0] for number in known_numbers()} == {2000}
    assert page.locator("#count").inner_text() == "2000 of 2000 rows fit"
    heading = page.locator("th button", has_text="Overlap of the brain masks")
    first = page.locator("tbody tr:first-child td:first-child")
    for end in (min, max):
        heading.click()
        assert first.inner_text() == end(overlap, key=overlap.get)
    page.locator("#words").fill("sub-1234")
    assert shown(page) == ["sub-1234"]
    assert drawn(page, "overlap")[0] == 1


def test_people_with_a_t1w_only_stand_in_plots_and_table(visit, group):
    folder = group.parent / "sub-99" / "ses-1" / "dwi"
    folder.mkdir(parents=True)
    text = json.dumps({"OutOfDistribution": 1.05, "Appearance": {"brain_volume_ml": 1.02}})
    (folder / "sub-99_ses-1_space-T1w_desc-synth_FA.json").write_text(text)
    write_group(group.parent)
    page = visit(group)
    assert shown(page)[-1] == "sub-99"
    assert drawn(page, "ood_score") == (PEOPLE + 1, 0)
    assert drawn(page, "overlap") == (PEOPLE, 1)
    page.get_by_label("Show runs with").fill("ses-1")
    assert shown(page) == ["sub-99"]
    plot = page.locator("svg").nth(list(known_numbers()).index("ood_score"))
    plot.scroll_into_view_if_needed()
    number = list(known_numbers()).index("ood_score")
    x, y, *_ = json.loads(page.locator("#points").inner_text())[number][-1]
    box = plot.bounding_box()
    page.mouse.move(box["x"] + x * box["width"] / 640, box["y"] + y * box["height"] / 72)
    assert page.locator("#tip").inner_text() == "sub-99 ses-1"


def test_point_opens_the_report_of_its_person(visit, group):
    page = visit(group)
    number = list(known_numbers()).index("overlap")
    plot = page.locator("svg").nth(number)
    plot.scroll_into_view_if_needed()
    x, y, row, far = json.loads(page.locator("#points").inner_text())[number][2]
    assert (row, far) == (2, True)
    box, view = plot.bounding_box(), [640, 72]
    page.mouse.move(box["x"] + x * box["width"] / view[0], box["y"] + y * box["height"] / view[1])
    assert page.locator("#tip").inner_text() == "sub-02_dir-AP"
    assert page.locator("tr.chosen td").first.inner_text() == "sub-02"
    page.mouse.down()
    page.mouse.up()
    page.wait_for_url("**/sub-02.html")
