"""Displacements do not fold once they were unfolded, and keep what did not fold."""

import numpy as np
import pytest

from bids_gan.distortion.folding import LEAST, unfolded
from bids_gan.distortion.units import jacobian


def spot(peak, axis):
    """Displacement (voxels) of a hot spot in a volume of 40 x 36 x 32 voxels."""
    index = np.indices((40, 36, 32)) - np.array([20, 18, 16])[:, None, None, None]
    return peak * np.exp(-(index**2).sum(0) / (2 * 3.0**2)) + 0.01 * index[axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("peak", [9.0, -9.0])
def test_no_fold_is_left_and_the_rest_stays(axis, peak):
    shift = spot(peak, axis)
    assert jacobian(shift, axis).min() < 0
    found = unfolded(shift, axis)
    assert (1 + np.gradient(found, axis=axis)).min() >= LEAST
    assert np.array_equal(found[:4], shift[:4])
    assert np.abs(found).max() > 0.4 * abs(peak)


def test_a_displacement_without_folds_is_given_back():
    shift = spot(2.0, 1)
    assert unfolded(shift, 1) is shift
