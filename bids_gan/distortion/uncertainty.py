"""How far off a field that was found from one blip may be, voxel by voxel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bids_gan.geometry import voxel_sizes

#: of `variance_terms`, fitted to errors of simulated runs (``benchmarks/field_uncertainty.py``)
WEIGHTS = (0.277, 1.63, 0.966, 7.038)
#: mm from the edge of the brain at which there is a third of what the edge adds
_EDGE_MM = 5.0
#: standard deviation of the Gaussian over which the size of the displacement is averaged
_SIZE_MM = 15.0
#: of the Gaussian that lies inside the brain, to tell a mean there
_LEAST_SHARE = 1e-3
#: place above the nose, in shares of the brain from left to right, back to front, bottom to top,
#: and twice the square of its extent
_SINUS, _SINUS_EXTENT = (0.5, 0.85, 0.2), (0.08, 0.08, 0.05)


def standard_deviation(
    displacement_mm: np.ndarray, mask: np.ndarray, affine: np.ndarray, spread_mm: float
) -> np.ndarray:
    """Standard deviation of the error to be expected of a displacement (mm).

    Parameters
    ----------
    displacement_mm : (I, J, K) array
        See :class:`bids_gan.distortion.types.FieldEstimate`.
    mask : (I, J, K) bool array
        Brain.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    spread_mm : float
        See :func:`bids_gan.distortion.quality.held_out`.

    Returns
    -------
    (I, J, K) float32 array
        Meant for inside the brain.

    Notes
    -----
    It tells where fields of this estimator are wrong on the whole, not what is wrong with this
    one: inside one brain it hardly ranks the voxels by their errors, which depend above all on
    what one blip does not show.
    """
    terms = variance_terms(displacement_mm, mask, affine, spread_mm)
    return np.sqrt(np.tensordot(WEIGHTS, terms, axes=1)).astype(np.float32)


def variance_terms(
    displacement_mm: np.ndarray, mask: np.ndarray, affine: np.ndarray, spread_mm: float
) -> np.ndarray:
    """What the variance of the error (mm²) is a sum of, (4, I, J, K), unweighted.

    The square of the spread between two estimates; nearness of the brain's edge; size of the
    displacement around, since large fields are underestimated; nearness of the sinuses of the
    nose, where fields are steepest.
    """
    zooms = voxel_sizes(affine)
    distance = ndimage.distance_transform_edt(mask, sampling=zooms)
    size, share = (
        ndimage.gaussian_filter(data, _SIZE_MM / zooms)
        for data in (np.abs(displacement_mm) * mask, mask.astype(float))
    )
    return np.stack([
        np.full(mask.shape, spread_mm**2),
        np.exp(-distance / _EDGE_MM),
        np.divide(size, share, out=np.zeros(mask.shape), where=share > _LEAST_SHARE),
        _near_sinuses(mask, affine),
    ])  # fmt: skip


def _near_sinuses(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    world = np.moveaxis(np.indices(mask.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    low, high = np.percentile(world[mask], [1, 99], axis=0)
    away = (world - low) / (high - low) - _SINUS
    return np.exp(-(away**2 / _SINUS_EXTENT).sum(axis=-1))
