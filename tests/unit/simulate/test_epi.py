import numpy as np
import pytest
from phantom import ORIENTATIONS, PE_DIRECTIONS, brain_mask, grid, head, world_points

from bids_gan.diffusion.gradients import from_world
from bids_gan.distortion.units import hz_to_voxels, jacobian, mm_per_hz
from bids_gan.geometry import pe_axis_sign
from bids_gan.simulate.epi import random_directions, simulate_dwi, susceptibility_field

READOUT = 0.05


def setup(orientation="RAS"):
    shape, affine = grid(orientation, (4.0, 4.0, 4.0), 140.0)
    points = world_points(shape, affine)
    return head(points), brain_mask(points), affine


@pytest.mark.parametrize("pe", PE_DIRECTIONS)
def test_field_has_the_asked_peak_and_does_not_fold(pe):
    _, mask, affine = setup()
    hz = susceptibility_field(mask, affine, 8.0, pe, READOUT, seed=3)
    mm = np.abs(hz * mm_per_hz(affine, pe, READOUT))[mask]
    assert mm.max() == pytest.approx(8.0, rel=1e-4)
    assert np.median(mm) > 0.3
    axis, _ = pe_axis_sign(pe)
    assert jacobian(hz_to_voxels(hz, pe, READOUT), axis)[mask].min() > 0


def test_field_depends_on_the_seed_alone():
    _, mask, affine = setup()
    fields = [susceptibility_field(mask, affine, 8.0, "j", READOUT, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(fields[0], fields[1])
    assert np.abs(fields[0] - fields[2]).max() > 5


@pytest.mark.parametrize("orientation", ORIENTATIONS[1:4])
def test_field_belongs_to_the_head_not_to_the_array(orientation):
    """The same world position has the same field on every axis order and flip."""
    _, mask, affine = setup("RAS")
    here = susceptibility_field(mask, affine, 8.0, "j", READOUT, seed=3)
    _, other_mask, other_affine = setup(orientation)
    there = susceptibility_field(other_mask, other_affine, 8.0, "j", READOUT, seed=3)
    pull = np.linalg.inv(other_affine) @ affine
    index = np.argwhere(mask)
    moved = np.round(index @ pull[:3, :3].T + pull[:3, 3]).astype(int)
    assert np.allclose(here[tuple(index.T)], there[tuple(moved.T)], atol=0.5)


def test_series_has_the_asked_noise_and_is_reproducible():
    s0, mask, affine = setup()
    gradients = from_world(np.array([0.0, 0, 1000]), np.r_[np.zeros((2, 3)), [[1, 0, 0]]], affine)
    still = np.zeros(mask.shape)

    def series(seed, snr=20.0):
        zeros = np.zeros((*mask.shape, 3))
        return simulate_dwi(
            s0, still, zeros, 0.7e-3, mask, affine, gradients, still, "j", READOUT, snr, seed
        )

    assert np.array_equal(series(1), series(1))
    difference = (series(1)[..., 0] - series(1)[..., 1])[mask] / np.sqrt(2)
    assert difference.std() == pytest.approx(s0[mask].mean() / 20, rel=0.05)
    clean = series(1, 1e6)
    assert np.allclose(clean[mask, 2], clean[mask, 0] * np.exp(-0.7), rtol=1e-3)
    assert clean.dtype == np.float32


def test_field_distorts_the_series():
    s0, mask, affine = setup()
    gradients = from_world(np.zeros(1), np.zeros((1, 3)), affine)
    hz = susceptibility_field(mask, affine, 10.0, "i-", READOUT, seed=3)
    zeros = np.zeros((*mask.shape, 3))
    one, two = (
        simulate_dwi(s0, 0 * hz, zeros, 1e-3, mask, affine, gradients, f, "i-", READOUT, 1e6, 0)[
            ..., 0
        ]
        for f in (0 * hz, hz)
    )
    assert np.abs(one - two)[mask].mean() > 0.05 * one[mask].mean()
    assert two.sum() == pytest.approx(one.sum(), rel=1e-3)


def test_directions_are_spread():
    directions = random_directions(20)
    assert np.allclose(np.linalg.norm(directions, axis=1), 1)
    cosine = np.abs(directions @ directions.T) - np.eye(20)
    assert np.rad2deg(np.arccos(cosine.max())) > 20


@pytest.mark.parametrize("peak", [3.0, 9.0, 15.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hot_spots_are_where_the_sinuses_are(peak, seed):
    """The largest displacement is the asked one, in the lower half of the head."""
    shape, affine = grid("RAS", (4.0, 4.0, 4.0), 140.0)
    points = world_points(shape, affine)
    mask = brain_mask(points)
    hz = susceptibility_field(mask, affine, peak, "j", READOUT, seed=seed)
    mm = np.abs(hz * mm_per_hz(affine, "j", READOUT)) * mask
    assert mm.max() == pytest.approx(peak, rel=1e-4)
    strongest = mm > np.quantile(mm[mask], 0.99)
    middle = points[mask].mean(axis=0)
    assert points[strongest][:, 2].mean() < middle[2] - 10


def test_field_in_hz_scales_with_the_readout():
    """The same displacement in half the readout time takes twice the field."""
    _, mask, affine = setup()
    slow, fast = (
        susceptibility_field(mask, affine, 8.0, "j", readout, seed=3) for readout in (0.08, 0.04)
    )
    assert np.allclose(fast, 2 * slow, rtol=1e-5)
