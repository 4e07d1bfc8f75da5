import nibabel as nib
import numpy as np
import pytest
from phantom import ORIENTATIONS, brain_mask, grid, head, world_points

from bids_gan.geometry import resample
from bids_gan.simulate.artefacts import (
    bias_field,
    change_gamma,
    crop_field_of_view,
    ghost,
    mirror,
    move_during_scan,
    randomise,
    rician_noise,
    thick_slices,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def person(orientation="RAS", zooms=(4.0, 4.0, 4.0)):
    shape, affine = grid(orientation, zooms, 160.0)
    points = world_points(shape, affine)
    return head(points).astype(np.float32), affine, brain_mask(points)


def test_bias_field_is_smooth_and_of_the_asked_strength():
    field = bias_field((40, 44, 48), rng(), 0.3)
    assert np.log(field).std() == pytest.approx(0.3, rel=1e-3)
    assert np.log(field).mean() == pytest.approx(0, abs=1e-3)
    assert max(np.abs(np.diff(np.log(field), axis=a)).max() for a in range(3)) < 0.3


def test_gamma_keeps_order_and_scale():
    data = np.linspace(0, 100, 10001).reshape(1, 1, -1)
    bent = change_gamma(data, 0.8)
    assert (np.diff(bent) > 0).all()
    assert bent[0, 0, 9900] == pytest.approx(data[0, 0, 9900], rel=1e-3)
    assert bent[0, 0, 3000] > data[0, 0, 3000]
    assert np.allclose(change_gamma(data, 1.0), data)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_keep_every_structure_in_its_place(orientation, axis):
    data, affine, _ = person(orientation)
    coarse, moved = thick_slices(data, affine, axis, 10.0, resample_back=False)
    assert np.sqrt((moved[:3, :3] ** 2).sum(0))[axis] == pytest.approx(10.0)
    where = nib.affines.apply_affine
    fine_centre = where(affine, np.average(np.argwhere(data >= 0), axis=0, weights=data.ravel()))
    coarse_centre = where(
        moved, np.average(np.argwhere(coarse > -1), axis=0, weights=coarse.ravel())
    )
    assert np.allclose(fine_centre, coarse_centre, atol=0.3)
    back, same = thick_slices(data, affine, axis, 10.0, resample_back=True)
    assert back.shape == data.shape
    assert np.array_equal(same, affine)
    smooth = resample(coarse, moved, data.shape, affine, mode="nearest")
    middle = (slice(4, -4),) * 3
    assert np.abs(back - smooth)[middle].max() < 0.02 * data.max()


def test_slices_are_averages():
    data = np.arange(12.0).reshape(1, 1, 12)
    coarse, affine = thick_slices(data, np.eye(4), 2, 3.0, resample_back=False)
    assert np.allclose(coarse.ravel(), [1, 4, 7, 10])
    assert affine[2, 3] == 1
    halves, _ = thick_slices(data, np.eye(4), 2, 1.5, resample_back=False)
    assert np.allclose(halves.ravel()[:2], [(0 + 0.5) / 1.5, (0.5 + 2) / 1.5])


def test_motion_blurs_but_does_not_shift_the_head():
    data, affine, brain = person()
    still = move_during_scan(data, affine, 1, rng(), degrees=0, mm=0)
    assert np.allclose(still, data, atol=1e-3 * data.max())
    moved = move_during_scan(data, affine, 1, rng(), degrees=3, mm=4)
    assert 0.02 * data.max() < np.abs(moved - data)[brain].mean() < 0.3 * data.max()
    index = np.argwhere(np.ones_like(brain))
    shift = np.average(index, axis=0, weights=moved.ravel() ** 2) - np.average(
        index, axis=0, weights=data.ravel() ** 2
    )
    assert np.abs(shift).max() < 0.6


def test_ghost_lies_half_a_field_of_view_away():
    data = np.zeros((8, 32, 8), np.float32)
    data[:, 8:10] = 1
    image = ghost(data, 1, 0.1)
    assert np.allclose(image[:, 24:26], 0.1, atol=1e-5)
    assert np.allclose(image[:, 8:10], 1, atol=1e-5)
    assert image[:, 14:20].max() < 1e-5


def test_noise_is_rician():
    zero, strong = np.zeros((50, 50, 50), np.float32), np.full((50, 50, 50), 500, np.float32)
    assert rician_noise(zero, 10, rng()).mean() == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.01)
    assert rician_noise(strong, 10, rng()).std() == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_cropping_keeps_the_brain_and_its_place(orientation):
    data, affine, brain = person(orientation)
    cut, moved = crop_field_of_view(data, affine, brain, rng(1))
    assert cut.size < data.size
    back = resample(cut, moved, data.shape, affine, order=0)
    assert np.array_equal(back[brain], data[brain])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_mirror_swaps_left_and_right_in_the_world(orientation):
    data, affine, _ = person(orientation)
    marked = data.copy()
    voxel = tuple(
        np.round(nib.affines.apply_affine(np.linalg.inv(affine), [40, 10, 5])).astype(int)
    )
    marked[voxel] = 10 * data.max()
    world = nib.affines.apply_affine(mirror(affine), voxel)
    assert world[0] == pytest.approx(-nib.affines.apply_affine(affine, voxel)[0])
    assert np.allclose(world[1:], nib.affines.apply_affine(affine, voxel)[1:])
    assert np.allclose(mirror(mirror(affine, 3.0), 3.0), affine)
    assert np.linalg.det(mirror(affine)) == pytest.approx(-np.linalg.det(affine))


def test_randomise_is_seeded_and_says_what_it_did():
    data, affine, brain = person()
    one, again, other = (randomise(data, affine, brain, rng(s)) for s in (3, 3, 4))
    assert np.array_equal(one.data, again.data)
    assert one.history == again.history
    assert not (one.data.shape == other.data.shape and np.array_equal(one.data, other.data))
    histories = [randomise(data, affine, brain, rng(s)).history for s in range(40)]
    seen = set().union(*histories)
    assert {"BiasField", "Gamma", "Motion", "Ghosting", "SkullStripped"} <= seen
    assert {"CroppedFieldOfView", "SliceThickness", "NoiseStandardDeviation"} <= seen


def test_level_zero_changes_nothing():
    data, affine, brain = person()
    same = randomise(data, affine, brain, rng(), level=0)
    assert np.array_equal(same.data, data)
    assert same.history == {}


def test_brain_stays_recognisable_at_the_worst_level():
    data, affine, brain = person()
    for seed in range(12):
        image = randomise(data, affine, brain, rng(seed))
        back = resample(image.data, image.affine, data.shape, affine)
        assert np.isfinite(back).all()
        assert np.corrcoef(back[brain], data[brain])[0, 1] > 0.5
