"""Smoothing of measured values that keeps slopes, at the rim of what was measured too."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bids_gan.geometry import voxel_sizes

#: of the kernel, in standard deviations
_REACH = 4.0
#: what the prior weighs, and that there is no slope, where values weigh 1
_PRIOR, _NO_SLOPE = 0.002, 0.02


def local_linear(
    values: np.ndarray, weights: np.ndarray, affine: np.ndarray, sigma: float, prior: np.ndarray
) -> np.ndarray:
    """Value at each voxel of the plane that fits its surroundings best.

    Parameters
    ----------
    values : (I, J, K) array
    weights : (I, J, K) array
        From 0, not measured, to 1.
    affine : (4, 4) array
        Voxel to world (mm).
    sigma : float
        Standard deviation (mm) of the Gaussian by which surroundings count less with distance.
    prior : (I, J, K) array
        What the result is where nothing was measured nearby.

    Returns
    -------
    (I, J, K) array

    Notes
    -----
    A mean is biased where its surroundings lie on one side, as at the rim of the brain, by the
    slope times their distance; a plane is not (Fan 1993, doi:10.1214/aos/1176349022).
    """
    kernels = [_kernels(sigma, size) for size in voxel_sizes(affine)]

    def moment(image: np.ndarray, powers: np.ndarray) -> np.ndarray:
        for axis, power in enumerate(powers):
            image = ndimage.correlate1d(image, kernels[axis][power], axis, mode="constant")
        return image

    change = weights * (values - prior)
    powers = np.vstack([np.zeros((1, 3), int), np.eye(3, dtype=int)])
    weight = moment(weights, powers[0])
    near = weight > _PRIOR / 100
    left = np.zeros((int(near.sum()), 4, 4))
    right = np.stack([moment(change, power)[near] for power in powers], axis=-1)
    for i in range(4):
        for j in range(i, 4):
            left[:, i, j] = left[:, j, i] = moment(weights, powers[i] + powers[j])[near]
    left += np.diag([_PRIOR, *[_NO_SLOPE * sigma**2] * 3])
    result = prior.copy()
    result[near] += np.linalg.solve(left, right[..., None])[:, 0, 0]
    return result


def _kernels(sigma: float, size: float) -> list[np.ndarray]:
    """Gaussian of sum 1 along an axis, times distance (mm) to the power of 0, 1 and 2."""
    reach = int(np.ceil(_REACH * sigma / size))
    distance = size * np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (distance / sigma) ** 2)
    return [kernel / kernel.sum() * distance**power for power in range(3)]
