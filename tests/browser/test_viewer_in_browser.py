"""The volume viewer as people use it."""

from __future__ import annotations

import json

import pytest
from looks import count_colours


@pytest.fixture
def window(visit, viewer):
    page = visit(viewer)
    wait(page, 1)
    return page


def wait(page, times):
    """Until the images were loaded so many times."""
    page.wait_for_selector(f'body[data-drawn="{times}"]')


def pictures(page):
    return [canvas.screenshot() for canvas in page.locator("canvas").all()]


def colours(page, side):
    """How many different colours a canvas shows."""
    return count_colours(page.locator("canvas").nth(side))


def test_both_images_are_drawn(window):
    assert window.locator("#trouble").is_hidden()
    assert colours(window, 0) > 50
    assert colours(window, 1) > 50
    assert window.locator("output").first.inner_text().startswith("0 ")


def test_slider_changes_the_overlay_only(window):
    plain = pictures(window)
    assert window.get_by_label("Opacity").is_disabled()
    window.get_by_label("Overlay").select_option(label="field in Hz, dir-AP")
    wait(window, 2)
    overlaid = pictures(window)
    window.get_by_label("Opacity").fill("1")
    opaque = pictures(window)
    window.get_by_label("Opacity").fill("0")
    clear = pictures(window)
    for side in (0, 1):
        assert plain[side] != overlaid[side] != opaque[side]
        assert clear[side] == plain[side]


def test_before_and_after_change_places(window):
    after = pictures(window)
    window.get_by_role("button", name="Before").click()
    wait(window, 2)
    before = pictures(window)
    assert before[0] == after[0]  # the T1w has no other state
    assert before[1] != after[1]
    window.keyboard.press("b")
    wait(window, 3)
    assert pictures(window)[1] == after[1]


def test_b0_has_its_state_before_too_in_the_same_grey_values(window):
    right = window.locator(".pane select").nth(1)
    right.select_option(label="b0 after, dir-AP")
    wait(window, 2)
    after = pictures(window)[1]
    window.keyboard.press("Tab")  # out of the list, in which letters choose
    window.keyboard.press("b")
    wait(window, 3)
    assert right.locator("option:checked").inner_text() == "b0 before, dir-AP"
    assert pictures(window)[1] != after
    volumes = json.loads(window.locator("#volumes").inner_text())
    windows = {(v["low"], v["high"]) for v in volumes if v["name"].startswith("b0")}
    assert len(windows) == 1


def test_field_is_laid_over_and_taken_away_by_a_key(window):
    plain = pictures(window)
    window.keyboard.press("f")
    wait(window, 2)
    assert (
        window.get_by_label("Overlay").locator("option:checked").inner_text().startswith("field")
    )
    assert pictures(window)[0] != plain[0]
    window.keyboard.press("F")
    wait(window, 3)
    assert pictures(window) == plain


def test_cross_hairs_are_linked_and_move_by_keys(window):
    canvas, places = window.locator("canvas").first, window.locator("output")
    canvas.focus()
    for _ in range(5):
        canvas.press("ArrowRight")
    left, right = (text.split(":")[0] for text in places.all_inner_texts())
    assert left == right
    assert " R," in left
    assert int(left.split()[0]) >= 15
    canvas.press("PageDown")
    assert places.nth(1).inner_text().split(":")[0] != right


def test_every_image_can_be_shown_and_laid_over(window):
    names = window.locator(".pane select").first.locator("option").all_inner_texts()
    assert "synthetic FA" in names
    assert "field in Hz, not applied, dir-PA" in names
    assert window.get_by_label("Overlay").locator("option").all_inner_texts() == ["none", *names]
    plain, drawn = pictures(window), 1
    lists = window.locator(".pane select").nth(1), window.get_by_label("Overlay")
    for name in names:
        for images in lists:
            images.select_option(label=name)
            drawn += 1
            wait(window, drawn)
        assert colours(window, 1) > 50, name
        assert pictures(window)[0] != plain[0], name
        assert window.locator("output").nth(1).inner_text().count(name) == 2


def test_plus_and_minus_change_the_opacity_of_the_overlay(window):
    window.keyboard.press("f")
    wait(window, 2)
    half, slider = pictures(window), window.get_by_label("Opacity")
    for key, value in (("+", "0.55"), ("+", "0.6"), ("-", "0.55"), ("-", "0.5"), ("-", "0.45")):
        window.keyboard.press(key)
        assert slider.input_value() == value
        assert (pictures(window) == half) == (value == "0.5")


def test_click_moves_the_cross_hair_of_the_other_image_too(window):
    left, places = window.locator("canvas").first, window.locator("output")
    before = pictures(window)[1]
    box = left.bounding_box()
    # front of the head in the picture of left and right, front and back
    left.click(position={"x": box["width"] * 0.15, "y": box["height"] * 0.6})
    clicked, other = (text.split(":")[0] for text in places.all_inner_texts())
    assert clicked == other
    (x, side), (y, front), _ = (part.split()[:2] for part in clicked.split(", "))
    assert (side, front) == ("L", "A")
    assert int(x) > 10
    assert int(y) > 10
    assert pictures(window)[1] != before


def test_browser_without_webgl_says_what_is_needed(launch, viewer):
    browser = launch("--disable-3d-apis")
    page, faults = browser.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(viewer.as_uri())
    page.locator("#trouble").wait_for()
    assert "a browser with WebGL 2 is needed" in page.locator("#trouble").inner_text()
    assert page.get_by_role("link", name="Back to the report").is_visible()
    assert faults == []
    browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_page_fits_and_is_accessible(visit, viewer, width, scheme):
    page = visit(viewer, width, scheme)
    wait(page, 1)
    assert colours(page, 0) > 50
