"""Images that cannot be worked with are refused by name."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from bids_gan.errors import DataError
from bids_gan.images import load_series, load_volume, open_image

SHAPE = (16, 18, 20)
#: damaged copies of one file
N_DAMAGED = 300


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


def infinite(path):
    data = np.random.default_rng(0).random(SHAPE)
    data[0, 0, 0] = np.inf
    save(path, data)


def huge(path):
    save(path)
    overwrite(path, 40, "<4h", 3, 10000, 10000, 10000)


def with_forms(path, sform, qform, codes=(1, 1)):
    image = nib.Nifti1Image(np.random.default_rng(0).random(SHAPE).astype(np.float32), np.eye(4))
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    nib.save(image, path)


def negative_voxel_size(path):
    """As some old converters tell of a flip; nibabel takes the size and drops the sign."""
    save(path)
    overwrite(path, 80, "<f", -1.0)


def negative_voxel_size_without_sform(path):
    with_forms(path, np.eye(4), np.eye(4), codes=(0, 1))
    overwrite(path, 80, "<f", -1.0)


def voxel_size_nan(path):
    save(path)
    overwrite(path, 80, "<f", np.nan)


def text(path):
    path.write_text("not an image")


def turned(degrees):
    """Affine of 1 mm, turned about the third axis."""
    affine = np.eye(4)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine[:2, :2] = [[cos, -sin], [sin, cos]]
    return affine


@pytest.mark.parametrize(
    ("sform", "message"),
    [
        (np.diag([-1, 1, 1, 1]), "sform says LAS, .* qform says RAS"),
        (np.diag([-1, -1, 1, 1]), "sform says LPS, .* qform says RAS"),
        (turned(90), "sform says ALS, .* qform says RAS"),
        (np.diag([3, 3, 3, 1]), r"voxels of \[3.0, 3.0, 3.0\] mm; qform .*\[1.0, 1.0, 1.0\]"),
        (np.diag([1, 1, 1.06, 1]), r"voxels of \[1.0, 1.0, 1.06\] mm"),
    ],
)
def test_sform_and_qform_of_which_one_is_wrong(tmp_path, sform, message):
    path = tmp_path / "sub-01_T1w.nii"
    with_forms(path, sform, np.eye(4))
    with pytest.raises(DataError, match=f"disagree: .*{message}.*sform would be used") as error:
        load_volume(path)
    assert str(path) in str(error.value)
    # the other one says that it does not count
    with_forms(path, sform, np.eye(4), codes=(1, 0))
    np.testing.assert_allclose(load_volume(path).affine, sform, atol=1e-6)


@pytest.mark.parametrize("sform", [turned(30), np.diag([1, 1, 1.04, 1])], ids=["tilt", "size"])
def test_small_differences_of_sform_and_qform_are_usual(tmp_path, sform):
    path = tmp_path / "sub-01_T1w.nii"
    with_forms(path, sform, np.eye(4))
    np.testing.assert_allclose(load_volume(path).affine, sform, atol=1e-6)


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
        (infinite, "1 of 5760 voxels are NaN or infinite"),
        (huge, r"header claims 4000000000000 bytes of voxels"),
        (negative_voxel_size, r"voxel sizes of \[-1\.0"),
        (negative_voxel_size_without_sform, r"voxel sizes of \[-1\.0"),
        (voxel_size_nan, r"voxel sizes of \[.*nan"),
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


SERIES = (16, 18, 4, 7)


def volume_as_series(path):
    save(path)


def nan_series(path):
    data = np.random.default_rng(0).random(SERIES)
    data[..., 6] = np.nan
    save(path, data)


def huge_series(path):
    save(path, np.random.default_rng(0).random(SERIES))
    overwrite(path, 40, "<5h", 4, 10000, 10000, 10000, 100)


def no_volume(path):
    save(path, np.zeros((*SHAPE, 0)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (volume_as_series, r"shape \(16, 18, 20\); a series of 3D volumes has 4"),
        (nan_series, "1152 of 8064 voxels are NaN"),
        (huge_series, "header claims 400000000000000 bytes"),
        (no_volume, r"shape \(16, 18, 20, 0\)"),
        (no_orientation, "qform_code are 0 and 0"),
        (text, "not an image that can be read"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_series_is_refused_with_its_name_and_the_reason(tmp_path, spoil, message):
    path = tmp_path / "sub-01_dwi.nii"
    spoil(path)
    with pytest.raises(DataError, match=message) as error:
        load_series(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_sound_series_comes_through(tmp_path, suffix):
    data = np.random.default_rng(0).random(SERIES).astype(np.float32)
    path = save(tmp_path / f"a{suffix}", data)
    np.testing.assert_array_equal(np.asarray(load_series(path).dataobj), data)


@pytest.mark.parametrize("fault", ["cut", "flipped bit", "wrong checksum", "huge header"])
def test_damaged_gzip(tmp_path, fault):
    path = save(tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    if fault == "cut":
        content = content[: len(content) // 2]
    elif fault == "flipped bit":
        content[len(content) // 2] ^= 0x10
    elif fault == "wrong checksum":
        content[-8:-4] = b"abcd"
    else:
        huge(plain := tmp_path / "b.nii")
        content = gzip.compress(plain.read_bytes())
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.nii\.gz: damaged or cut short"):
        load_volume(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("read", [load_volume, load_series, open_image])
def test_any_damage_is_a_data_error(tmp_path, suffix, read):
    """Random bytes of the header, of the compressed stream, or random length."""
    rng = np.random.default_rng(1)
    shape = SHAPE if read is load_volume else SERIES
    sound = save(tmp_path / f"sound{suffix}", rng.random(shape)).read_bytes()
    path = tmp_path / f"a{suffix}"
    refused = 0
    for _ in range(N_DAMAGED):
        content = bytearray(sound[: rng.integers(len(sound)) if rng.random() < 0.2 else None])
        for place in rng.integers(0, min(352, max(len(content), 1)), rng.integers(1, 6)):
            if place < len(content):
                content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            read(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
    assert refused >= N_DAMAGED // 20


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
