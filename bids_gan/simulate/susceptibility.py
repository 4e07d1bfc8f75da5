"""Static field of a head: what air, bone and tissue do to a homogeneous magnetic field."""

from __future__ import annotations

import numpy as np
from scipy import fft

from bids_gan.simulate.composition import TISSUES, label_composition

#: volume susceptibility in ppm (SI); tissue is about that of water
SUSCEPTIBILITY = {
    "air": 0.36, "fat": -7.8, "marrow": -8.0, "cortical bone": -11.0, "blood": -8.9,
}  # fmt: skip
_TISSUE = -9.05
#: precession of a proton, Hz per ppm of one tesla
_HZ_PER_PPM_T = 42.577478518


def susceptibility_table() -> np.ndarray:
    """Volume susceptibility (ppm) of every label, (1024,) array."""
    return label_composition() @ [SUSCEPTIBILITY.get(tissue, _TISSUE) for tissue in TISSUES]


def dipole_field(chi: np.ndarray, spacing: float, tesla: float = 3.0) -> np.ndarray:
    """Field that a distribution of susceptibility makes, before any shim.

    Parameters
    ----------
    chi : (I, J, K) array
        Volume susceptibility in ppm; the main field points along the last axis. What lies beyond
        the array is like its border.
    spacing : float
        Voxel size in mm; enters as the shape of the dipole only.
    tesla : float
        Main field.

    Returns
    -------
    (I, J, K) float32 array in Hz

    Notes
    -----
    ``(1/3 - k_z² / k²) χ`` in Fourier space: a dipole at every voxel, the sphere of Lorentz left
    out (Marques and Bowtell 2005, https://doi.org/10.1002/cmr.b.20034).
    """
    pad = [(n // 4, n // 4) for n in chi.shape]
    padded = np.pad(np.asarray(chi, np.float32), pad, mode="edge")
    padded -= padded[0, 0, -1]
    size = [fft.next_fast_len(n, real=True) for n in padded.shape]
    kx, ky = (fft.fftfreq(n, spacing).astype(np.float32) for n in size[:2])
    kz = fft.rfftfreq(size[2], spacing).astype(np.float32)
    square = kx[:, None, None] ** 2 + ky[:, None] ** 2 + kz**2
    square[0, 0, 0] = 1
    kernel = 1 / 3 - kz**2 / square
    kernel[0, 0, 0] = 0
    field = fft.irfftn(fft.rfftn(padded, size) * kernel, size)
    inside = tuple(slice(a, a + n) for (a, _), n in zip(pad, chi.shape, strict=True))
    return (_HZ_PER_PPM_T * tesla * field[inside]).astype(np.float32)


def shimmed(field: np.ndarray, brain: np.ndarray, order: int = 1) -> np.ndarray:
    """Field without its constant and linear (and quadratic) part in the brain.

    Parameters
    ----------
    field : (I, J, K) array
    brain : (I, J, K) bool array
    order : {1, 2}
        As high as the shim coils of the scanner go.
    """
    terms = _polynomials(field.shape, order)
    there = brain & (np.indices(field.shape).sum(axis=0) % 3 == 0)  # a third is enough to fit
    fit = np.linalg.lstsq(terms[:, there].T, field[there], rcond=None)[0]
    return (field - np.tensordot(fit, terms, 1)).astype(np.float32)


def _polynomials(shape: tuple[int, ...], order: int) -> np.ndarray:
    x = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    terms = [np.ones(shape), *x]
    if order == 2:
        terms += [x[a] * x[b] for a in range(3) for b in range(a, 3)]
    return np.stack(terms).astype(np.float32)
