"""Images that cannot be worked with are refused by name."""

import struct

import nibabel as nib
import numpy as np
import pytest

from bids_gan.errors import DataError
from bids_gan.images import load_volume

SHAPE = (16, 18, 20)


def save(path, data=None, affine=None):
    if data is None:
        data = np.random.default_rng(0).random(SHAPE)
    image = nib.Nifti1Image(np.asarray(data, np.float32), np.eye(4) if affine is None else affine)
    nib.save(image, path)
    return path


def overwrite(path, offset, form, *values):
    """Change the stored header, which nibabel would not write so."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(struct.pack(form, *values))


def nan(path):
    data = np.random.default_rng(0).random(SHAPE)
    data[3, 4, 5:7] = np.nan
    save(path, data)


def constant(path):
    save(path, np.full(SHAPE, 7.0))


def flat(path):
    save(path, np.random.default_rng(0).random((16, 18)))


def series(path):
    save(path, np.random.default_rng(0).random((*SHAPE, 3)))


def no_orientation(path):
    save(path)
    overwrite(path, 252, "<hh", 0, 0)


def wrong_orientation_code(path):
    save(path)
    overwrite(path, 252, "<hh", 0, 9)


def voxel_size_zero(path):
    save(path)
    overwrite(path, 80, "<f", 0.0)


def flat_affine(path):
    affine = np.eye(4)
    affine[:3, 2] = affine[:3, 1]
    save(path, affine=affine)


def cut_short(path):
    save(path)
    path.write_bytes(path.read_bytes()[:5000])


def text(path):
    path.write_text("not an image")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nan, "2 of 5760 voxels are NaN"),
        (constant, "all voxels have the value 7"),
        (flat, r"shape \(16, 18\); a 3D volume"),
        (series, r"shape \(16, 18, 20, 3\); a 3D volume"),
        (no_orientation, "qform_code are 0 and 0"),
        (wrong_orientation_code, "sform_code and qform_code are .*9|9.*left and right"),
        (voxel_size_zero, r"voxel sizes of \[.*0\.0"),
        (flat_affine, "do not span"),
        (cut_short, "damaged or cut short"),
        (text, "not an image that can be read"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_is_refused_with_its_name_and_the_reason(tmp_path, spoil, message):
    path = tmp_path / "sub-01_T1w.nii"
    spoil(path)
    with pytest.raises(DataError, match=message) as error:
        load_volume(path)
    assert str(path) in str(error.value)
    assert error.value.exit_code == 65


def test_missing(tmp_path):
    with pytest.raises(DataError, match=r"absent\.nii: no such file"):
        load_volume(tmp_path / "absent.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz"])
def test_a_sound_image_comes_through(tmp_path, suffix):
    data = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    affine = np.array([[0, -2, 0, 5], [1, 0, 0, 6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
    kind = nib.MGHImage if suffix == ".mgz" else nib.Nifti1Image
    nib.save(kind(data, affine), tmp_path / f"a{suffix}")
    image = load_volume(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.get_fdata(), data)
    np.testing.assert_allclose(image.affine, affine)


def test_one_volume_along_time_is_3d(tmp_path):
    path = save(tmp_path / "a.nii", np.random.default_rng(0).random((*SHAPE, 1)))
    assert load_volume(path).shape == SHAPE
