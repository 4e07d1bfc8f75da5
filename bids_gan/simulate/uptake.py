"""FDG uptake of a person without disease, and what a PET scanner makes of it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bids_gan.simulate.composition import TABLE_SIZE, TISSUES, label_composition

#: width of the reconstruction filter relative to the point-spread function
FILTER_SHARE = 0.6

# Uptake relative to the mean of the cerebellum, of pure tissue (before the scanner blurs it)
_TISSUE_UPTAKE = {
    "air": 0.0, "csf": 0.05, "grey": 1.35, "white": 0.42, "pallidum": 0.85, "lesion": 0.35,
    "blood": 0.30, "muscle": 0.25, "fat": 0.08, "skin": 0.20, "mucosa": 0.45,
    "cortical bone": 0.08, "marrow": 0.35, "vitreous": 0.05,
}  # fmt: skip
_STRUCTURE_UPTAKE = {
    7: 0.55, 8: 1.10,  # with 4.5 times as much cortex as white matter the cerebellum's mean is 1
    10: 1.15, 11: 1.20, 12: 1.45, 13: 0.85, 16: 0.75, 17: 0.90, 18: 0.85, 26: 1.10, 28: 0.80,
    136: 1.0, 163: 1.0,
    508: 0.65,  # muscles of the eye are never at rest
    512: 0.55,
}  # fmt: skip


def fdg_table(rng: np.random.Generator | None = None, spread: float = 0.08) -> np.ndarray:
    """Uptake of every label relative to the mean of the cerebellum.

    Parameters
    ----------
    rng : Generator, optional
        Draws one person's deviation from the population; the mean person when omitted.
    spread : float
        Standard deviation of the logarithm of each structure's deviation.

    Returns
    -------
    (1024,) float64 array

    Notes
    -----
    Ratios of healthy adults, rounded; regional means at a scanner's resolution are those of a
    population template (cortex 1.1-1.4, putamen 1.5, thalamus and caudate 1.0, hippocampus 0.75,
    white matter 0.45), pure tissue was set so that blurring leads there.
    """
    table = label_composition() @ [_TISSUE_UPTAKE[tissue] for tissue in TISSUES]
    table[list(_STRUCTURE_UPTAKE)] = list(_STRUCTURE_UPTAKE.values())
    if rng is not None:
        table *= np.exp(rng.normal(0, spread, TABLE_SIZE))
    return table


def scan_pet(
    uptake: np.ndarray,
    spacing: np.ndarray,
    rng: np.random.Generator,
    fwhm: float = 5.0,
    counts: float = 4000.0,
) -> np.ndarray:
    """Blur by the scanner's point-spread function and add noise that grows with the signal.

    Parameters
    ----------
    uptake : (I, J, K) array
        Relative to the cerebellum.
    spacing : (3,) array
        Voxel size in mm.
    rng : Generator
    fwhm : float
        Full width at half maximum of the point-spread function, mm: 4-5 for recent scanners,
        6-8 for older ones.
    counts : float
        True counts that come from 1 ml at cerebellar uptake: the default gives noise of about
        5 % there.

    Returns
    -------
    (I, J, K) float32 array

    Notes
    -----
    Gaussian noise with the variance of Poisson counts, after a reconstruction filter of
    ``FILTER_SHARE`` times the point-spread function: a filter of standard deviation s averages
    over a volume of ``8 pi^(3/2) s^3``, so the standard deviation is
    ``sqrt(uptake / (counts * volume))`` on any grid.
    """
    sigma = fwhm / np.sqrt(8 * np.log(2))
    voxels = sigma / np.asarray(spacing, float)
    blurred = ndimage.gaussian_filter(np.asarray(uptake, np.float32), voxels)
    noise = ndimage.gaussian_filter(
        rng.standard_normal(blurred.shape, np.float32), FILTER_SHARE * voxels, mode="wrap"
    )
    volume = 8 * np.pi**1.5 * (FILTER_SHARE * sigma) ** 3 / 1000
    noise *= np.sqrt(np.maximum(blurred, 0) / (counts * volume)) / noise.std()
    return np.maximum(blurred + noise, 0)
