"""Standard deviation of a field: larger where fields of one blip are known to be wrong."""

import numpy as np
import pytest

from bids_gan.distortion.uncertainty import standard_deviation

SHAPE = (30, 36, 28)
AFFINE = np.array([[4.0, 0, 0, -60], [0, 4, 0, -70], [0, 0, 4, -50], [0, 0, 0, 1]])
MIDDLE = (15, 18, 14)


def brain():
    inside = np.zeros(SHAPE, bool)
    inside[5:25, 4:32, 5:23] = True
    return inside


def test_it_grows_with_displacement_and_spread_and_towards_the_edge():
    mask, still = brain(), np.zeros(SHAPE)
    flat = standard_deviation(still, mask, AFFINE, 1.0)
    assert flat.dtype == np.float32
    assert np.isfinite(flat).all()
    assert flat[5, 10, 14] > flat[MIDDLE]
    assert (standard_deviation(still, mask, AFFINE, 2.0) > flat).all()
    for sign in (-1, 1):
        assert (standard_deviation(still + 3 * sign, mask, AFFINE, 1.0) > flat).all()


def test_the_sinuses_are_found_in_the_world_whatever_the_order_of_the_axes():
    """Largest in front and below; the same after every exchange and flip of the array's axes."""
    mask = brain()
    expected = standard_deviation(np.zeros(SHAPE), mask, AFFINE, 1.0)
    depth = expected[5:25, 4:32, 5:23][6:14, 6:-3, 3:-3]  # away from the edge
    j, k = np.unravel_index(depth.mean(axis=0).argmax(), depth.shape[1:])
    assert j > 0.8 * depth.shape[1]
    assert k < 0.2 * depth.shape[2]
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 1, 0)):
        for flips in np.ndindex(2, 2, 2):
            there = np.eye(4)[:, [*order, 3]]
            for axis, flip in enumerate(flips):
                if flip:
                    there[:, 3] += there[:, axis] * (SHAPE[order[axis]] - 1)
                    there[:, axis] *= -1
            turned = mask.transpose(order)[tuple(slice(None, None, -1 if f else 1) for f in flips)]
            found = standard_deviation(np.zeros(turned.shape), turned, AFFINE @ there, 1.0)
            same = expected.transpose(order)
            same = same[tuple(slice(None, None, -1 if f else 1) for f in flips)]
            assert found == pytest.approx(same, abs=1e-4)
