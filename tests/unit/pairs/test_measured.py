"""The grid of a measured target: its slices, whatever its orientation."""

import nibabel as nib
import numpy as np
import pytest

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.errors import DataError
from bids_gan.geometry import resample, to_ras, voxel_sizes
from bids_gan.pairs.measured import slice_grid


def anatomy():
    """A ball, 1 mm, in a world shifted against its voxels."""
    shape = (70, 80, 60)
    affine = np.eye(4)
    affine[:3, 3] = (-30, -45, -20)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    mask = ((world - (5, -5, 10)) ** 2).sum(-1) < 22**2
    t1w = np.where(mask, 1 + 0.01 * world[..., 2], 0).astype(np.float32)
    empty = mask.astype(np.uint8)
    return Anatomy(t1w, mask, empty, empty, mask.astype(np.float32), affine, np.eye(4))


def thick_image(codes, tilt=0.0):
    """Slices of 5 mm with pixels of 1.5 mm; values are the world z of the T1w."""
    affine = np.diag([1.5, 1.5, 5.0, 1.0])
    affine[:3, 3] = (-40, -50, -30)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    affine = turn @ affine
    shape = (60, 60, 18)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    img = nib.Nifti1Image(world[..., 2].astype(np.float32), affine)
    to = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(codes)
    )
    return img.as_reoriented(to)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "RAI"])
@pytest.mark.parametrize("tilt", [0.0, 0.2])
def test_supervised_planes_lie_at_slice_centres(codes, tilt):
    person, img = anatomy(), to_ras(thick_image(codes, tilt))
    shape, grid, thickness, centres = slice_grid(person, img, np.eye(4))
    assert thickness == 5
    np.testing.assert_allclose(voxel_sizes(grid), 1.0)
    planes = np.flatnonzero(centres)
    assert set(np.diff(planes)) == {5}
    # a plane of the grid, seen in voxels of the image: a whole slice number
    corner = np.array([0, 0, planes[0]])
    seen = nib.affines.apply_affine(np.linalg.inv(img.affine) @ grid, corner)
    assert seen[2] == pytest.approx(round(seen[2]), abs=1e-6)
    # and the values there are those of that place in the world
    target = resample(np.asarray(img.dataobj), img.affine, shape, grid)
    middle = np.array([shape[0] // 2, shape[1] // 2, planes[len(planes) // 2]])
    expected = nib.affines.apply_affine(grid, middle)[2]
    assert target[tuple(middle)] == pytest.approx(expected, abs=0.05)


def test_thin_slices_are_compared_everywhere():
    img = nib.Nifti1Image(np.zeros((80, 80, 80), np.float32), np.eye(4))
    _, grid, thickness, centres = slice_grid(anatomy(), img, np.eye(4))
    assert thickness == 1
    assert centres.all()
    np.testing.assert_allclose(grid[:3, :3], np.eye(3))


@pytest.mark.parametrize("codes", ["SRA", "ASR", "LIA"])
def test_thick_slices_of_any_axis_order_are_brought_to_axial(codes):
    _, _, thickness, _ = slice_grid(anatomy(), to_ras(thick_image(codes)), np.eye(4))
    assert thickness == 5


@pytest.mark.parametrize("zooms", [(5.0, 1.5, 1.5), (1.5, 5.0, 1.5)])
def test_thick_slices_that_are_not_axial_are_refused(zooms):
    img = nib.Nifti1Image(np.zeros((30, 30, 30), np.float32), np.diag([*zooms, 1.0]))
    with pytest.raises(DataError, match=r"mine.nii.gz: voxels of .*axial"):
        slice_grid(anatomy(), img, np.eye(4), "mine.nii.gz")
