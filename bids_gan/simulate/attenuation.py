"""Computed tomography: attenuation of every label in Hounsfield units."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bids_gan.simulate.composition import TABLE_SIZE, TISSUES, label_composition

_TISSUE_HOUNSFIELD = {
    "air": -1000.0, "csf": 8.0, "grey": 38.0, "white": 29.0, "pallidum": 40.0, "lesion": 24.0,
    "blood": 48.0, "muscle": 55.0, "fat": -95.0, "skin": 20.0, "mucosa": 35.0,
    "cortical bone": 1250.0, "marrow": 250.0, "vitreous": 8.0,
}  # fmt: skip


def hounsfield_table(rng: np.random.Generator | None = None) -> np.ndarray:
    """Attenuation of every label.

    Parameters
    ----------
    rng : Generator, optional
        Draws one person's deviation: bone ±15 %, soft tissue ±2 HU; the mean when omitted.

    Returns
    -------
    (1024,) float64 array
        Hounsfield units: water 0, air -1000.

    Notes
    -----
    Rounded textbook values at about 120 kV; bone after Schneider et al. 2000 (Phys Med Biol
    45:459). Labels that mix tissues (soft tissue outside the skull, diploe) have the mixture's
    value.
    """
    values = np.array([_TISSUE_HOUNSFIELD[tissue] for tissue in TISSUES])
    table = label_composition() @ values
    if rng is None:
        return table
    bone = np.exp(rng.normal(0, 0.15))
    table = np.where(table > 150, table * bone, table)
    return table + np.where(table > -500, rng.normal(0, 2, TABLE_SIZE), 0)


def scan_ct(
    hounsfield: np.ndarray,
    spacing: np.ndarray,
    rng: np.random.Generator,
    fwhm: float = 1.2,
    noise: float = 6.0,
) -> np.ndarray:
    """Blur by the reconstruction kernel and add noise.

    Parameters
    ----------
    hounsfield : (I, J, K) array
    spacing : (3,) array
        Voxel size in mm.
    rng : Generator
    fwhm : float
        Full width at half maximum of the kernel, mm.
    noise : float
        Standard deviation in Hounsfield units.

    Returns
    -------
    (I, J, K) float32 array, at least -1024
    """
    sigma = fwhm / np.sqrt(8 * np.log(2)) / np.asarray(spacing, float)
    image = ndimage.gaussian_filter(np.asarray(hounsfield, np.float32), sigma, mode="nearest")
    return np.maximum(image + noise * rng.standard_normal(image.shape, np.float32), -1024)
