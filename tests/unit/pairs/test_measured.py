"""A measured target: the grid of its slices, whatever its orientation, and its unit."""

import dataclasses

import nibabel as nib
import numpy as np
import pytest

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.errors import DataError
from bids_gan.geometry import resample, to_ras, voxel_sizes
from bids_gan.pairs.measured import in_units, slice_grid


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


def with_cerebellum(person):
    """The lower third of the ball is cerebellum, grey outside and white inside."""
    structures = np.where(person.mask, 2, 0)
    lower = person.mask & (np.arange(structures.shape[2]) < 22)
    structures[lower] = 5
    structures[lower & (np.arange(structures.shape[0])[:, None, None] > 35)] = 6
    return dataclasses.replace(person, structures=structures)


@pytest.mark.parametrize("codes", ["RAS", "LPI", "SAR"])
@pytest.mark.parametrize("unit", [1.0, 15000.0])
def test_fdg_is_relative_to_the_cerebellum_whatever_its_unit_and_grid(codes, unit):
    person = with_cerebellum(anatomy())
    uptake = np.where(person.structures == 5, 1.1, 0.6) + (person.structures == 2) * 0.7
    shift = np.eye(4)
    shift[:3, 3] = (3, -2, 4)  # the image lies elsewhere in the world than the T1w
    img = nib.Nifti1Image((unit * uptake).astype(np.float32), shift @ person.affine)
    to = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(img.affine), nib.orientations.axcodes2ornt(codes)
    )
    img = img.as_reoriented(to)
    found = in_units("FDG", img.get_fdata(), img.affine, person, shift, "pet.nii.gz")
    back = resample(found, img.affine, person.mask.shape, person.affine, target_to_source=shift)
    cerebellum = np.isin(person.structures, (5, 6))
    assert back[cerebellum].mean() == pytest.approx(1, abs=0.01)
    assert back[person.structures == 2].mean() == pytest.approx(
        1.3 / uptake[cerebellum].mean(), rel=0.01
    )


def test_fdg_that_lies_elsewhere_is_named():
    person = with_cerebellum(anatomy())
    img = np.ones((20, 20, 20), np.float32)
    far = np.diag([2.0, 2, 2, 1])
    far[:3, 3] = 500
    with pytest.raises(DataError, match=r"pet\.nii\.gz: .*cerebellum, found 0 voxels"):
        in_units("FDG", img, far, person, np.eye(4), "pet.nii.gz")


@pytest.mark.parametrize("target", ["FA", "CT"])
def test_contrasts_with_a_unit_of_their_own_are_left_alone(target):
    data = np.full((4, 4, 4), 0.3, np.float32)
    assert in_units(target, data, np.eye(4), anatomy(), np.eye(4), "x") is data
