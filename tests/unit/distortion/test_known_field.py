"""Distort with a known field, correct with the same field: the anatomy comes back."""

import nibabel as nib
import numpy as np
import pytest
from phantom import ORIENTATIONS, PE_DIRECTIONS, brain_mask, grid, head, world_points

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.forward import distort
from bids_gan.distortion.units import (
    hz_to_voxels,
    jacobian,
    mm_per_hz,
    voxels_to_hz,
    world_displacement,
)
from bids_gan.distortion.unwarp import correct_series, itk_displacement, piled_up
from bids_gan.geometry import pe_axis_sign, resample

READOUT = 0.04
MATRIX = [(o, pe) for o in ORIENTATIONS for pe in PE_DIRECTIONS]


def person(orientation, pe, zooms=(3.0, 3.5, 4.0), peak_mm=8.0):
    """Anatomy and a smooth field, both functions of world position only."""
    shape, affine = grid(orientation, zooms)
    points = world_points(shape, affine)
    bump = np.exp(-((points - [5, 10, -8]) ** 2).sum(-1) / (2 * 22.0**2))
    hz = bump * peak_mm / mm_per_hz(affine, pe, READOUT)
    return head(points), hz, affine, brain_mask(points)


def nrmse(a, b, mask):
    return np.sqrt(np.mean((a - b)[mask] ** 2)) / b[mask].std()


@pytest.mark.parametrize(("orientation", "pe"), MATRIX)
def test_distort_then_correct_gives_the_anatomy_back(orientation, pe):
    anatomy, hz, affine, mask = person(orientation, pe)
    img = nib.Nifti1Image(distort(anatomy, hz, pe, READOUT), affine)
    corrected = np.asarray(correct_series(img, hz, pe, READOUT).dataobj)
    before = nrmse(np.asarray(img.dataobj), anatomy, mask)
    assert before > 0.3
    assert nrmse(corrected, anatomy, mask) < 0.2 * before
    opposite = np.asarray(correct_series(img, -hz, pe, READOUT).dataobj)
    assert nrmse(opposite, anatomy, mask) > before


@pytest.mark.parametrize(("orientation", "pe"), MATRIX)
def test_displacement_is_the_same_in_world(orientation, pe):
    """The recorded position of a point source lies where the world displacement says."""
    _, hz, affine, mask = person(orientation, pe)
    centre = tuple(np.argwhere(mask & (hz > 0.8 * hz.max()))[0])
    point = np.zeros(mask.shape, np.float32)
    point[centre] = 1
    moved = distort(point, hz, pe, READOUT)
    recorded = (world_points(mask.shape, affine) * moved[..., None]).sum((0, 1, 2)) / moved.sum()
    start = world_points(mask.shape, affine)[centre]
    expected = world_displacement(hz, affine, pe, READOUT)[centre]
    assert np.allclose(recorded - start, expected, atol=0.35)
    assert np.linalg.norm(expected) > 5


def test_positive_polarity_moves_towards_larger_indices():
    hz = np.full((3, 9, 3), 50.0)
    point = np.zeros(hz.shape)
    point[1, 4, 1] = 1
    assert distort(point, hz, "j", READOUT)[1, 6, 1] == pytest.approx(1)
    assert distort(point, hz, "j-", READOUT)[1, 2, 1] == pytest.approx(1)


@pytest.mark.parametrize("pe", ["i", "j", "k"])
def test_opposite_polarities_move_oppositely(pe):
    _, hz, affine, _ = person("RAS", pe)
    plus = world_displacement(hz, affine, pe, READOUT)
    assert np.allclose(plus, -world_displacement(hz, affine, pe + "-", READOUT))


def test_signal_is_conserved_and_zero_field_is_the_identity():
    anatomy, hz, _, _ = person("LIA", "j-", peak_mm=15.0)
    assert distort(anatomy, hz, "j-", READOUT).sum() == pytest.approx(anatomy.sum(), rel=1e-4)
    assert np.allclose(distort(anatomy, 0 * hz, "j-", READOUT), anatomy, atol=1e-6)


def test_folded_signal_piles_up():
    row = np.zeros((1, 20, 1), np.float32)
    row[0, 5:15] = 1
    hz = np.zeros(row.shape)
    hz[0, :10], hz[0, 10:] = 2 / READOUT, -2 / READOUT
    moved = distort(row, hz, "j", READOUT)
    assert moved.max() > 1.5
    assert moved.sum() == pytest.approx(10, rel=1e-5)


def test_series_is_treated_volume_by_volume():
    anatomy, hz, _, _ = person("RAS", "j")
    both = distort(np.stack([anatomy, 2 * anatomy], -1), hz, "j", READOUT)
    assert np.allclose(both[..., 0], distort(anatomy, hz, "j", READOUT))
    assert np.allclose(both[..., 1], 2 * both[..., 0], rtol=1e-5)


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
def test_units_round_trip(pe):
    hz = np.linspace(-80, 80, 24).reshape(2, 3, 4)
    assert np.allclose(voxels_to_hz(hz_to_voxels(hz, pe, READOUT), pe, READOUT), hz)
    _, affine = grid("oblique", (2.0, 3.0, 4.0))
    axis, _ = pe_axis_sign(pe)
    assert mm_per_hz(affine, pe, READOUT) == pytest.approx((2, 3, 4)[axis] * READOUT)
    length = np.linalg.norm(world_displacement(hz, affine, pe, READOUT), axis=-1)
    assert np.allclose(length, np.abs(hz) * mm_per_hz(affine, pe, READOUT))


def test_jacobian_of_a_ramp():
    ramp = np.broadcast_to(0.3 * np.arange(8.0), (2, 2, 8))
    assert np.allclose(jacobian(ramp, 2), 1.3)
    assert np.allclose(jacobian(ramp, 0), 1)


def test_nothing_to_correct_changes_nothing():
    anatomy, hz, affine, _ = person("PSR", "k")
    same = correct_series(nib.Nifti1Image(anatomy, affine), 0 * hz, "k", READOUT)
    assert np.allclose(np.asarray(same.dataobj), anatomy, atol=1e-4)


def test_ratio_maps_are_not_modulated():
    _, hz, affine, mask = person("RAS", "j")
    flat = nib.Nifti1Image(np.ones(mask.shape, np.float32), affine)
    plain = np.asarray(correct_series(flat, hz, "j", READOUT, modulate=False).dataobj)
    assert np.allclose(plain[mask], 1)
    modulated = np.asarray(correct_series(flat, hz, "j", READOUT).dataobj)
    assert np.allclose(
        modulated[mask], jacobian(hz_to_voxels(hz, "j", READOUT), 1)[mask], atol=1e-5
    )


def test_interpolation_stays_in_the_recorded_range():
    rng = np.random.default_rng(0)
    _, hz, affine, mask = person("RAS", "j")
    noise = rng.integers(0, 2, mask.shape).astype(np.float32)
    found = np.asarray(
        correct_series(nib.Nifti1Image(noise, affine), hz, "j", READOUT, modulate=False).dataobj
    )
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_motion_and_field_in_one_interpolation(orientation):
    """A distorted head that moved between volumes: both volumes become the anatomy."""
    shape, affine = grid(orientation)
    points = world_points(shape, affine)
    bump = np.exp(-((points - [5, 10, -8]) ** 2).sum(-1) / (2 * 22.0**2))
    hz = bump * 6 / mm_per_hz(affine, "j", READOUT)
    anatomy, mask = head(points), brain_mask(points)
    recorded = distort(anatomy, hz, "j", READOUT)
    pose = rigid_matrix(np.r_[np.deg2rad([3.0, -2, 4]), 3, -2, 1], np.zeros(3))
    # the moved volume: the recorded head carried along by the pose
    moved = resample(
        recorded, affine, shape, affine, target_to_source=np.linalg.inv(pose), order=3
    )
    img = nib.Nifti1Image(np.stack([recorded, moved], -1), affine)
    found = np.asarray(correct_series(img, hz, "j", READOUT, np.array([np.eye(4), pose])).dataobj)
    assert nrmse(found[..., 0], anatomy, mask) < 0.12
    assert nrmse(found[..., 1], anatomy, mask) < 0.2
    without = np.asarray(correct_series(img, hz, "j", READOUT).dataobj)
    assert nrmse(without[..., 1], anatomy, mask) > 0.4


def test_shapes_are_checked():
    anatomy, hz, affine, _ = person("RAS", "j")
    img = nib.Nifti1Image(anatomy, affine)
    with pytest.raises(ValueError, match="field of shape"):
        correct_series(img, hz[1:], "j", READOUT)
    with pytest.raises(ValueError, match="2 motion matrices for 1 volumes"):
        correct_series(img, hz, "j", READOUT, np.tile(np.eye(4), (2, 1, 1)))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_itk_field_moves_like_our_own(orientation, tmp_path):
    ants = pytest.importorskip("ants")
    anatomy, hz, affine, mask = person(orientation, "j-")
    recorded = distort(anatomy, hz, "j-", READOUT)
    transform = itk_displacement(hz, affine, "j-", READOUT)
    assert transform.shape == (*anatomy.shape, 1, 3)
    nib.save(transform, tmp_path / "xfm.nii.gz")
    nib.save(nib.Nifti1Image(recorded, affine), tmp_path / "epi.nii.gz")
    epi = ants.image_read(str(tmp_path / "epi.nii.gz"))
    theirs = ants.apply_transforms(
        epi, epi, [str(tmp_path / "xfm.nii.gz")], interpolator="linear"
    ).numpy()
    ours = np.asarray(
        correct_series(
            nib.Nifti1Image(recorded, affine), hz, "j-", READOUT, modulate=False
        ).dataobj
    )
    assert nrmse(theirs, ours, mask) < 0.1
    assert nrmse(recorded, ours, mask) > 0.2


@pytest.mark.parametrize(("orientation", "pe"), MATRIX)
def test_marked_voxels_were_recorded_half_a_voxel_from_their_neighbours(orientation, pe):
    _, hz, affine, mask = person(orientation, pe, peak_mm=24.0)
    axis, _ = pe_axis_sign(pe)
    points = world_points(mask.shape, affine)
    recorded = points + world_displacement(hz, affine, pe, READOUT)
    before, after = (np.linalg.inv(affine)[axis, :3] @ np.moveaxis(p, -1, 0).reshape(3, -1)
                     for p in (points, recorded))  # fmt: skip
    apart = np.gradient(after.reshape(mask.shape), axis=axis)
    assert np.allclose(np.gradient(before.reshape(mask.shape), axis=axis), 1)
    marked = piled_up(hz, pe, READOUT, mask)
    assert 20 < marked.sum() < 0.5 * mask.sum()
    inner = np.zeros_like(mask)
    inner[2:-2, 2:-2, 2:-2] = True
    assert np.array_equal(marked[inner], (mask & (apart <= 0.5))[inner])
    # the other way round the signal is stretched there
    assert not (piled_up(-hz, pe, READOUT, mask) & marked).any()
    assert not piled_up(0.1 * hz, pe, READOUT, mask).any()
