"""From the phase of a gradient echo to a field in Hz."""

from __future__ import annotations

import numpy as np

from bids_gan.errors import DataError

#: a phase beyond this many radians is one in a scanner's own units
_RADIANS = 2.1 * np.pi
#: no scanner writes the phase in fewer steps
_FEWEST_STEPS = 256


def to_radians(phase: np.ndarray, name: str) -> np.ndarray:
    """Phase in radians of an image in radians, thousandths of them, or a scanner's integers.

    Parameters
    ----------
    phase : (I, J, K) array
        Where the greatest value is no number of radians, the full turn is the power of two that
        holds all values: from -4096 to 4095, or from 0, with no phase in the middle, to 4095.
    name : str
        Of the image, for error messages.

    Returns
    -------
    (I, J, K) float array

    Raises
    ------
    DataError
        When the range of the values is none of these.
    """
    phase = np.asarray(phase, float)
    signed = phase.min() < 0
    largest = np.abs(phase).max()
    if largest <= _RADIANS:
        return phase
    if min(abs(largest - 1000 * turn) for turn in (np.pi, 2 * np.pi)) < 2:
        return phase / 1000
    if largest < _FEWEST_STEPS / 2:
        raise DataError(
            f"{name}: values from {phase.min():g} to {phase.max():g}; a phase is accepted in "
            "radians (-3.14 to 3.14), in thousandths of them, or in a scanner's integers "
            "(-4096 to 4095, 0 to 4095)"
        )
    scale = 2.0 ** np.ceil(np.log2(largest))
    return np.pi * phase / scale if signed else 2 * np.pi * phase / scale - np.pi


def phase_to_hz(phase: np.ndarray, mask: np.ndarray, delta_te: float) -> np.ndarray:
    """Field of a phase difference.

    Parameters
    ----------
    phase : (I, J, K) array
        Radians, wrapped.
    mask : (I, J, K) bool array
        Where there is signal, in one piece; outside, phase is noise.
    delta_te : float
        Second minus first echo time in seconds.

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
