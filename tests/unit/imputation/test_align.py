"""Scans of any unit, orientation and position come to lie on the brain, white matter near 1."""

import nibabel as nib
import numpy as np
import pytest
from tiny_person import TISSUES

from bids_gan.errors import DataError
from bids_gan.imputation import align
from bids_gan.imputation.align import align_contrasts
from bids_gan.synthesis.generate import crop_to_brain

SHIFT = np.eye(4)
SHIFT[:3, 3] = (6, -4, 5)


@pytest.fixture
def known_transform(monkeypatch):
    """The registration finds what it should; its own tests tell whether it does."""
    monkeypatch.setattr(align, "register_to_t1w", lambda *_: SHIFT)


def saved(folder, img, name="scan.nii.gz"):
    nib.save(img, folder / name)
    return folder / name


def moved(img, codes):
    """The scan elsewhere in the world, its axes in another order."""
    there = nib.Nifti1Image(img.get_fdata(dtype=np.float32), SHIFT @ img.affine)
    to = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(there.affine), nib.orientations.axcodes2ornt(codes)
    )
    return there.as_reoriented(to)


@pytest.mark.parametrize("codes", ["RAS", "LIA", "PSR"])
def test_scans_are_brought_to_the_brain_whatever_their_axes(
    person, tmp_path, known_transform, codes
):
    paths = {
        "T1w": saved(tmp_path, person.image("T1w"), "t1w.nii.gz"),
        "T2w": saved(tmp_path, moved(person.image("T2w", 77.0), codes)),
    }
    aligned = align_contrasts(person.anatomy, paths, "T1w")
    t1w, mask, affine = crop_to_brain(person.anatomy)
    np.testing.assert_array_equal(aligned.images["T1w"], t1w)
    np.testing.assert_array_equal(aligned.mask, mask)
    np.testing.assert_array_equal(aligned.affine, affine)
    t2w = aligned.images["T2w"]
    assert not t2w[~mask].any()
    for value, reference in zip(TISSUES["T2w"], TISSUES["T1w"], strict=True):
        tissue = np.isclose(t1w, reference)
        # N4 takes a little of the contrast of so few tissues for a bias field
        assert np.median(t2w[tissue]) == pytest.approx(value, rel=0.1)


@pytest.mark.parametrize("contrast", ["T2w", "PDw", "FLAIR"])
def test_first_contrast_stays_where_it_is(person, tmp_path, monkeypatch, contrast):
    monkeypatch.setattr(align, "register_to_t1w", None)
    path = saved(tmp_path, person.image(contrast))
    aligned = align_contrasts(person.anatomy, {contrast: path}, contrast)
    t1w, _, _ = crop_to_brain(person.anatomy)
    white = np.isclose(t1w, 1)
    assert np.median(aligned.images[contrast][white]) == pytest.approx(1, abs=0.02)


def test_part_of_a_brain_is_refused_by_name(person, tmp_path, known_transform):
    whole = moved(person.image("FLAIR"), "RAS")
    path = saved(tmp_path, whole.slicer[:, :, :18], "slab.nii.gz")
    with pytest.raises(DataError, match=r"slab\.nii\.gz: shows \d+% of the brain, 90% is needed"):
        align_contrasts(person.anatomy, {"FLAIR": path}, "T1w")
