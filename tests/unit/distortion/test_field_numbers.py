"""Numbers of a field against a ramp for which they are known by hand."""

import numpy as np
import pytest

from bids_gan.distortion.quality import field_numbers

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
ZOOMS = (2, 3, 4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_numbers_of_a_ramp(axis):
    """Along 20 voxels: no shift in the first 10, then 0.6 of a voxel less with every voxel."""
    profile = -0.6 * np.maximum(np.arange(20) - 9.0, 0)
    across = [1 if n == axis else 5 for n in range(3)]
    along = [20 if n == axis else 1 for n in range(3)]
    shift = np.tile(profile.reshape(along), across)
    numbers = field_numbers(shift, AFFINE, axis, np.ones(shift.shape, bool))
    # central differences: the voxel at the bend has half of the slope, the ten behind it all of it
    assert numbers["jacobian_min"] == pytest.approx(1 - 0.6)
    assert numbers["jacobian_steep_share"] == pytest.approx(10 / 20)
    mm = ZOOMS[axis]
    assert numbers["displacement_median_mm"] == pytest.approx(0.3 * mm)  # of 0 and 0.6
    # 500 values, 25 of each: the place 474.05 lies 0.05 of the way from the 9th step to the 10th
    assert numbers["displacement_p95_mm"] == pytest.approx((0.6 * 9 + 0.05 * 0.6) * mm)
    assert numbers["displacement_p99_mm"] == pytest.approx(6.0 * mm)


def test_only_the_brain_counts_and_the_other_axes_do_not_squeeze():
    shift = np.zeros((6, 6, 6))
    shift[:, 3:] = -5.0  # a step along the second axis
    brain = np.zeros(shift.shape, bool)
    brain[:, :2] = True
    beside = field_numbers(shift, AFFINE, 1, brain)
    assert beside["jacobian_min"] == 1
    assert beside["displacement_p99_mm"] == 0
    everywhere = np.ones(shift.shape, bool)
    assert field_numbers(shift, AFFINE, 0, everywhere)["jacobian_steep_share"] == 0
    squeezed = field_numbers(shift, AFFINE, 1, everywhere)
    assert squeezed["jacobian_min"] == pytest.approx(1 - 2.5)
    assert squeezed["jacobian_steep_share"] == pytest.approx(2 / 6)
