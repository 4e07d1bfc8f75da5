"""Resampling and axes over a matrix of orientations, not one example."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.geometry import box_grid, pe_axis_sign, resample, to_ras, voxel_sizes

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(np.radians(15), np.radians(-10), np.radians(5)), (0, 0, 0)
)


def blob(world):
    """An asymmetric smooth scene in world coordinates."""
    x, y, z = world[..., 0], world[..., 1], world[..., 2]
    return (
        np.exp(-((x - 9) ** 2 + (y + 4) ** 2 + (z - 3) ** 2) / 150)
        + 0.6 * np.exp(-((x + 8) ** 2 + (y - 10) ** 2 + (z + 6) ** 2) / 90)
    ).astype(np.float32)


def scene(codes, zooms=(2.0, 2.5, 3.0), oblique=False):
    """The scene sampled on a grid of the given axis codes."""
    extent = 80
    ornt = nib.orientations.axcodes2ornt(codes)
    linear = np.zeros((3, 3))
    for axis, (world_axis, flip) in enumerate(ornt):
        linear[int(world_axis), axis] = flip * zooms[axis]
    affine = nib.affines.from_matvec(linear)
    if oblique:
        affine = OBLIQUE @ affine
    shape = tuple(int(np.ceil(extent / z)) for z in zooms)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return blob(nib.affines.apply_affine(affine, grid)), affine


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("codes", ["RAS", "LAS", "LIA", "PSR", "SPL"])
def test_resampling_finds_the_same_anatomy_from_any_orientation(codes, oblique):
    data, affine = scene(codes, oblique=oblique)
    truth, target = scene("RAS", (2.0, 2.0, 2.0))
    inner = tuple(slice(8, -8) for _ in range(3))
    found = resample(data, affine, truth.shape, target, order=3, antialias=False)
    np.testing.assert_allclose(found[inner], truth[inner], atol=0.01)


def test_world_transform_is_a_pull():
    data, affine = scene("LAS", (2.0, 2.0, 2.0))
    shift = np.eye(4)
    shift[:3, 3] = (4.0, 0, 0)
    moved = resample(data, affine, data.shape, affine, target_to_source=shift)
    # axis 0 runs to the left: what lies 4 mm right of a voxel is two voxels before it
    np.testing.assert_allclose(moved[10:30], data[8:28], atol=1e-6)


def test_antialias_averages_thin_structures():
    data = np.zeros((32, 32, 32), np.float32)
    data[::2] = 1
    coarse = np.diag([4.0, 4.0, 4.0, 1.0])
    plain = resample(data, np.eye(4), (8, 8, 8), coarse, antialias=False)
    smooth = resample(data, np.eye(4), (8, 8, 8), coarse)
    assert plain[4, 4, 4] == 1
    assert smooth[4, 4, 4] == pytest.approx(0.5, abs=0.05)


def test_labels_keep_their_type_and_values():
    labels = np.random.default_rng(0).integers(0, 4, (12, 12, 12)).astype(np.uint8)
    out = resample(labels, np.eye(4), (6, 6, 6), np.diag([2.0, 2, 2, 1]), order=0)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, labels[::2, ::2, ::2])


def test_box_grid_holds_the_mask_and_rounds_up():
    data, affine = scene("PSR", oblique=True)
    mask = data > 0.5
    shape, grid = box_grid(mask, affine, 1.5, 4.0, multiple=8)
    assert all(n % 8 == 0 for n in shape)
    assert nib.aff2axcodes(grid) == ("R", "A", "S")
    where = nib.affines.apply_affine(np.linalg.inv(grid) @ affine, np.argwhere(mask))
    assert where.min() >= 4.0 / 1.5 - 1
    assert np.all(where.max(0) <= np.array(shape) - 4.0 / 1.5)
    np.testing.assert_allclose(voxel_sizes(grid), 1.5)


def test_to_ras_only_reorders():
    data, affine = scene("LIA")
    ras = to_ras(nib.Nifti1Image(data, affine))
    assert nib.aff2axcodes(ras.affine) == ("R", "A", "S")
    assert np.array_equal(np.sort(ras.get_fdata().ravel()), np.sort(data.ravel()))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("i", (0, 1)),
        ("i-", (0, -1)),
        ("j", (1, 1)),
        ("j-", (1, -1)),
        ("k", (2, 1)),
        ("k-", (2, -1)),
    ],
)
def test_phase_encoding_axis_and_sign(direction, expected):
    assert pe_axis_sign(direction) == expected


def test_unknown_direction_lists_the_known():
    with pytest.raises(ValueError, match="i, i-, j, j-, k, k-"):
        pe_axis_sign("AP")
