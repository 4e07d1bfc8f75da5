"""The volume viewer as people use it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from bids_gan.bids.outputs import output_path
from bids_gan.bids.plan import DiffusionRun, SessionPlan, T1wChoice
from bids_gan.itk import write_affine
from bids_gan.reports.viewer import viewer_page
from bids_gan.settings import Settings

RUN = {"subject": "01", "direction": "AP"}
SHAPE = (40, 48, 36)


def blob(centre):
    """A bright ball on nothing, in voxels of 4 mm."""
    away = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return np.maximum(0, 1 - np.sqrt((away**2).sum(0)) / 12).astype(np.float32)


@pytest.fixture
def viewer(tmp_path):
    """The page of a session: a ball as T1w, one shifted to the back as FA before correction."""
    settings = Settings(bids_dir=tmp_path / "raw", output_dir=tmp_path, work_dir=tmp_path / "w")
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -2 * np.array(SHAPE)
    middle, back = blob((20, 24, 18)), blob((20, 16, 18))

    def save(key, entities, data):
        path = tmp_path / output_path(key, entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(data, affine), path)

    save("brain_mask_t1w", {"subject": "01"}, (middle > 0).astype(np.uint8))
    save("synth_fa", {"subject": "01"}, middle * 0.6)
    save("fa_uncorrected", RUN, back * 0.6)
    save("fa", RUN, middle * 0.6)
    save("fieldmap", RUN, 80 * (middle - back))
    write_affine(np.eye(4), tmp_path / output_path("dwi_to_t1w", RUN))
    t1w = tmp_path / "t1w.nii.gz"
    nib.save(nib.Nifti1Image(middle * 900, affine), t1w)
    dwi = Path("sub-01_dir-AP_dwi.nii.gz")
    run = DiffusionRun(dwi, dwi, dwi, None, RUN, "j-", "", 0.05, "", "synth", "asked")
    session = SessionPlan("01", None, T1wChoice(t1w, "the only one"), (run,))
    page = tmp_path / "viewer.html"
    page.write_text(viewer_page(settings, session, back="sub-01.html"))
    assert viewer_page(settings, replace(session, subject="02"), back="") is None
    return page


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
    return len(Image.open(BytesIO(pictures(page)[side])).convert("RGB").getcolors(1 << 24))


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


def test_page_fits_a_narrow_window_in_the_dark(visit, viewer):
    page = visit(viewer, 400, "dark")
    wait(page, 1)
    assert colours(page, 0) > 50
