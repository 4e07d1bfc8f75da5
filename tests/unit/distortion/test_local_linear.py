"""Smoothing by planes keeps slopes up to the rim, and leaves what is far away to the prior."""

import numpy as np
import pytest
from phantom import ORIENTATIONS, brain_mask, grid, world_points
from scipy import ndimage

from bids_gan.distortion.local_linear import local_linear

SLOPE = np.array([1.0, -2.0, 0.5])  # Hz per mm


@pytest.mark.parametrize("orientation", ORIENTATIONS[:3])
def test_slope_is_kept_at_the_rim_where_a_mean_is_biased(orientation):
    shape, affine = grid(orientation, (2.0, 3.0, 4.0))
    points = world_points(shape, affine)
    brain = brain_mask(points)
    values = np.where(brain, 30 + points @ SLOPE, 999.0)
    rim = brain & ~ndimage.binary_erosion(brain)

    def error(found):
        return np.abs(found - values)[rim].max()

    found = local_linear(values, brain.astype(float), affine, 3.0, np.zeros(shape))
    assert error(found) < 2
    blur = 3.0 / np.array([np.linalg.norm(column) for column in affine[:3, :3].T])
    weight = ndimage.gaussian_filter(brain.astype(float), blur, mode="constant")
    mean = ndimage.gaussian_filter(values * brain, blur, mode="constant") / (weight + 1e-9)
    assert error(mean) > 3


def test_noise_is_averaged_and_what_does_not_count_has_no_say():
    rng = np.random.default_rng(0)
    weights = (rng.random((24, 24, 24)) > 0.2).astype(float)
    values = np.where(weights > 0, rng.normal(50, 5, weights.shape), 1e4)
    found = local_linear(values, weights, np.diag([2.0, 2, 2, 1]), 3.0, np.zeros(weights.shape))
    inside = found[6:-6, 6:-6, 6:-6]
    assert inside.mean() == pytest.approx(50, abs=0.3)
    assert inside.std() < 1.5


def test_far_from_everything_is_the_prior():
    weights = np.zeros((40, 10, 10))
    weights[:10] = 1
    prior = np.full(weights.shape, 7.0)
    found = local_linear(90 * weights, weights, np.diag([2.0, 2, 2, 1]), 2.5, prior)
    assert np.allclose(found[25:], 7)
    assert np.allclose(found[2:8, 2:8, 2:8], 90, atol=0.5)
    assert np.abs(np.diff(found[:, 5, 5])).max() < 45  # it goes over without a step
