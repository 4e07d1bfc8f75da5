"""Field in Hz from a measured phase difference or field map."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.geometry import resample, voxel_sizes

#: standard deviation of the smoothing inside the brain, and of what fills the space around it, mm
SMOOTH_MM, FILL_MM = 2.0, 12.0
#: a phase beyond this many radians is one in a scanner's own units
_RADIANS = 2.1 * np.pi


def to_radians(phase: np.ndarray) -> np.ndarray:
    """Phase in radians of an image in radians or in a scanner's integers.

    Parameters
    ----------
    phase : (I, J, K) array
        The least and the greatest integer stand for -π and π, whichever they are (-4096 to 4094,
        0 to 4095).

    Returns
    -------
    (I, J, K) float array
    """
    phase = np.asarray(phase, float)
    low, high = phase.min(), phase.max()
    if max(-low, high) <= _RADIANS:
        return phase
    # the full scale is a power of two, of which the greatest value falls short by a step or two
    scale = 2.0 ** np.ceil(np.log2(high - low))
    return 2 * np.pi * (phase - (low + scale / 2)) / scale


def phase_to_hz(phase: np.ndarray, mask: np.ndarray, delta_te: float) -> np.ndarray:
    """Field of a phase difference.

    Parameters
    ----------
    phase : (I, J, K) array
        Radians, wrapped.
    mask : (I, J, K) bool array
        Where there is signal; outside, phase is noise.
    delta_te : float
        Difference of the echo times in seconds.

    Returns
    -------
    (I, J, K) float array
        Zero outside the mask; the multiple of 2π that an unwrapped phase lacks is the one that
        brings the median of the mask next to zero, where shimming puts it.

    Notes
    -----
    Unwrapped along a path of reliable voxels (Herráez et al. 2002,
    https://doi.org/10.1364/AO.41.007437).
    """
    from skimage.restoration import unwrap_phase

    unwrapped = unwrap_phase(np.ma.array(phase, mask=~mask), rng=0)
    inside = np.ma.getdata(unwrapped)[mask]
    turns = np.round(np.median(inside) / (2 * np.pi))
    hz = np.zeros(phase.shape)
    hz[mask] = (inside - 2 * np.pi * turns) / (2 * np.pi * delta_te)
    return hz


def smooth_field(hz: np.ndarray, weight: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Field without noise inside the brain, and beyond its edge.

    Parameters
    ----------
    hz : (I, J, K) array
    weight : (I, J, K) array
        Trust in each voxel, as the magnitude; zero where nothing is known.
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (I, J, K) array
        Weighted means over 2 mm, and over 12 mm where there is nothing nearer.
    """
    result = np.zeros(hz.shape)
    for sigma in (FILL_MM, SMOOTH_MM):
        blur = sigma / voxel_sizes(affine)
        share = ndimage.gaussian_filter(weight, blur, mode="constant")
        mean = ndimage.gaussian_filter(hz * weight, blur, mode="constant")
        near = share > 0.02 * weight.max()
        result[near] = mean[near] / share[near]
    return result


def on_grid(hz: np.ndarray, affine: np.ndarray, image: nib.Nifti1Image) -> np.ndarray:
    """Field (I, J, K) on the grid of a diffusion image, by what the headers say."""
    return resample(hz, affine, image.shape[:3], image.affine, mode="nearest")
