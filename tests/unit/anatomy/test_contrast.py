"""Scans of other contrasts are turned into what the anatomy network knows."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from bids_gan.anatomy import contrast as module
from bids_gan.anatomy.contrast import filled, fold, prepare_anatomy
from bids_gan.anatomy.segment import CEREBRAL_WHITE
from bids_gan.errors import DataError

#: fluid, grey and white matter
LIKE = {"T2w": (3.5, 1.67, 1.0), "PDw": (1.1, 1.22, 1.0), "FLAIR": (0.2, 1.43, 1.0)}


@pytest.mark.parametrize("contrast", LIKE)
def test_order_of_the_tissues_becomes_that_of_a_t1w(contrast):
    fluid, grey, white = fold(np.array(LIKE[contrast]), contrast)
    assert white == 1
    assert grey == pytest.approx(0.68)
    assert 0 < fluid < 0.9
    # bone and air stay dark
    np.testing.assert_allclose(fold(np.array([0, 0.3]), contrast), [0, 0.3])


class KnowsTheMiddle(torch.nn.Module):
    """Finds white matter where it is, whatever the image looks like."""

    def forward(self, x):
        scores = torch.zeros(1, 8, *x.shape[2:])
        scores[:, CEREBRAL_WHITE, 6:24, 6:24, 6:24] = 1
        return scores


@pytest.mark.parametrize("contrast", LIKE)
def test_image_is_folded_at_the_white_matter_that_is_found(contrast, monkeypatch):
    fluid, grey, white = LIKE[contrast]
    data = np.zeros((30, 30, 30), np.float32)
    data[2:28, 2:28, 2:28] = fluid
    data[3:27, 3:27, 3:27] = grey  # most of the head, so that its median is not white matter
    data[6:24, 6:24, 6:24] = white
    monkeypatch.setattr(
        module,
        "prepare_t1w",
        lambda img, *_, **__: SimpleNamespace(dataobj=img.dataobj, mask=None),
    )
    monkeypatch.setattr(module, "filled", lambda _: 1.0)
    img = nib.Nifti1Image(812 * data, np.eye(4))
    folded = prepare_anatomy(img, contrast, KnowsTheMiddle(), name="x", precision="fp32")
    np.testing.assert_allclose(folded.dataobj, fold(data, contrast), atol=1e-5)


def test_t1w_is_taken_as_it_is(monkeypatch):
    img = nib.Nifti1Image(np.ones((16, 16, 16), np.float32), np.eye(4))
    monkeypatch.setattr(module, "prepare_t1w", lambda taken, *_, **__: taken)
    assert prepare_anatomy(img, "T1w", None, name="x") is img


def ball(size=40, radius=15):
    away = np.linalg.norm(np.indices((size,) * 3) - size / 2, axis=0)
    return away < radius


def test_share_of_the_convex_hull():
    cube = np.zeros((20, 20, 20), bool)
    cube[4:16, 4:16, 4:16] = True
    assert filled(cube) == pytest.approx(1)
    assert filled(ball()) > 0.9
    cube[4:16, 4:10, 4:10] = False  # an L: three quarters of the cube, seven eighths of its hull
    assert filled(cube) == pytest.approx(0.75 / 0.875)


@pytest.mark.parametrize(("contrast", "refused"), [("T2w", True), ("T1w", False)])
def test_torn_brain_of_another_contrast_is_refused(monkeypatch, contrast, refused):
    torn = ball()
    torn[18:, :, 10:26] = False
    anatomy = SimpleNamespace(mask=torn)
    monkeypatch.setattr(module, "prepare_t1w", lambda *_, **__: anatomy)
    data = np.random.default_rng(0).uniform(0.5, 1, (30, 30, 30)).astype(np.float32)
    img = nib.Nifti1Image(data, np.eye(4))
    if not refused:  # whatever comes of a T1w is looked at elsewhere
        assert prepare_anatomy(img, contrast, None, name="x") is anatomy
        return
    with pytest.raises(DataError, match=r"sub-01_T2w: the brain found in this T2w is torn"):
        prepare_anatomy(img, contrast, KnowsTheMiddle(), name="sub-01_T2w", precision="fp32")
    anatomy.mask = ball()
    assert prepare_anatomy(img, contrast, KnowsTheMiddle(), name="x", precision="fp32") is anatomy
