"""Simulated diffusion EPI with a known susceptibility field: demo, tests, benchmarks."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from bids_gan.diffusion.gradients import Gradients, world_directions
from bids_gan.distortion.forward import distort
from bids_gan.distortion.units import mm_per_hz

# Where air meets the brain: centre as fractions of the brain's bounding box (left to right,
# back to front, bottom to top), radius in mm, strength relative to the strongest.
_HOT_SPOTS = (
    ((0.50, 0.84, 0.26), 19.0, 1.0),  # sphenoid and frontal sinuses, above the orbits
    ((0.14, 0.50, 0.14), 16.0, 0.6),  # left petrous bone and ear canal
    ((0.86, 0.50, 0.14), 16.0, 0.6),  # right
)


def susceptibility_field(
    mask: np.ndarray,
    affine: np.ndarray,
    peak_mm: float,
    pe_direction: str,
    readout_time: float,
    seed: int,
) -> np.ndarray:
    """Smooth field that resembles the one around a head after shimming.

    Parameters
    ----------
    mask : (I, J, K) bool array
        Brain, in anatomical orientation according to `affine`.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    peak_mm : float
        Largest displacement inside the brain, typically 3 to 15 mm.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` (s), which relate mm to Hz.
    seed : int
        Different seeds are different heads.

    Returns
    -------
    (I, J, K) float32 array in Hz

    Notes
    -----
    A broad random part of tens of millimetres, hot spots above the sinuses and the ear canals
    with jittered place, size and strength, constant and linear terms removed as shimming does,
    and a small constant and linear remainder put back.
    """
    rng = np.random.default_rng(seed)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(mask.shape), 0, -1))
    low, high = np.percentile(world[mask > 0], [0.5, 99.5], axis=0)
    size = high - low

    broad = sum(
        rng.normal() * np.cos(2 * np.pi * (world - low) @ wave + rng.uniform(0, 2 * np.pi))
        for wave in rng.normal(size=(8, 3)) / 160.0
    )
    field = 0.12 * broad
    for centre, radius, strength in _HOT_SPOTS:
        place = low + size * (np.array(centre) + rng.normal(0, 0.02, 3))
        distance = ((world - place) ** 2).sum(-1) / (radius * rng.uniform(0.85, 1.15)) ** 2
        field = field + strength * rng.uniform(0.7, 1.2) * np.exp(-distance / 2)

    terms = np.concatenate([np.ones((*mask.shape, 1)), (world - low) / size - 0.5], axis=-1)
    shim = np.linalg.lstsq(terms[mask > 0], field[mask > 0], rcond=None)[0]
    field = field - terms @ shim + terms @ rng.normal(0, 0.04, 4)

    mm = field * (peak_mm / np.abs(field[mask > 0]).max())
    return (mm / mm_per_hz(affine, pe_direction, readout_time)).astype(np.float32)


def simulate_dwi(
    s0: np.ndarray,
    fa: np.ndarray,
    direction: np.ndarray,
    md: np.ndarray | float,
    mask: np.ndarray,
    affine: np.ndarray,
    gradients: Gradients,
    field_hz: np.ndarray,
    pe_direction: str,
    readout_time: float,
    snr: float,
    seed: int,
) -> np.ndarray:
    """Diffusion-weighted EPI series of a person whose tensors are known.

    Parameters
    ----------
    s0 : (I, J, K) array
        Signal without diffusion weighting, undistorted.
    fa : (I, J, K) array
        Fractional anisotropy in [0, 1].
    direction : (I, J, K, 3) array
        Principal diffusion direction in world axes; need not be normalised.
    md : (I, J, K) array or float
        Mean diffusivity in mm²/s (about 0.7e-3 in tissue, 3e-3 in CSF).
    mask : (I, J, K) array
        Brain; the noise level refers to the mean signal in it.
    affine : (4, 4) array
        Voxel to world (mm, RAS+).
    gradients : Gradients
        In the FSL convention for `affine`.
    field_hz : (I, J, K) array
        Susceptibility field; zeros for an undistorted series.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.
    snr : float
        Mean of `s0` in the brain over the standard deviation of the noise in each channel.
    seed : int

    Returns
    -------
    (I, J, K, N) float32 array

    Notes
    -----
    Axially symmetric tensors ``D = md (1 - a) I + 3 md a n nᵀ`` with
    ``a = FA / sqrt(3 - 2 FA²)``, signal ``s0 exp(-b gᵀ D g)``, magnitude of two noisy channels.
    """
    length = np.linalg.norm(direction, axis=-1, keepdims=True)
    unit = np.divide(direction, length, out=np.zeros(direction.shape), where=length > 1e-6)
    anisotropy = np.clip(fa, 0, 0.99)
    anisotropy = anisotropy / np.sqrt(3 - 2 * anisotropy**2)

    cosine = unit @ world_directions(gradients, affine).T
    apparent = np.asarray(md)[..., None] * (1 + anisotropy[..., None] * (3 * cosine**2 - 1))
    signal = s0[..., None] * np.exp(-gradients.bvals * apparent)
    signal = distort(signal, field_hz, pe_direction, readout_time)

    rng = np.random.default_rng(seed)
    sigma = s0[mask > 0].mean() / snr
    real = signal + sigma * rng.standard_normal(signal.shape, np.float32)
    return np.hypot(real, sigma * rng.standard_normal(signal.shape, np.float32)).astype(np.float32)


def random_directions(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3) unit vectors spread over the half sphere by electrostatic repulsion."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 3))
    for _ in range(200):
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        both = np.concatenate([points, -points])
        gap = points[:, None] - both[None]
        squared = (gap**2).sum(-1, keepdims=True)
        np.fill_diagonal(squared[..., 0], np.inf)
        points = points + 0.1 / n * (gap / squared**1.5).sum(1)
    return points / np.linalg.norm(points, axis=1, keepdims=True)
