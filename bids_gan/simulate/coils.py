"""What the coils of a scanner do to a diffusion image, beside what is meant."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bids_gan.gan.training.augment import smooth_noise

#: distance from the isocentre at which a gradient's error is measured
_BORE_MM = 90.0


def receive_shading(shape, rng: np.random.Generator) -> np.ndarray:
    """What is left of the receive coils, which see the surface of the head best.

    Parameters
    ----------
    shape : (int, int, int)
    rng : Generator

    Returns
    -------
    (I, J, K) array
        Factor of the signal.
    """
    axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    radial = sum(a**2 for a in axes) - 0.3
    rough = smooth_noise(rng, shape, 5)[0].numpy()
    return np.exp(rng.uniform(-0.1, 0.6) * radial + rng.uniform(0, 0.15) * rough)


def gradient_warp(offset: Tensor, rng: np.random.Generator) -> Tensor:
    """Displacement (mm) of images whose gradients were not corrected.

    Parameters
    ----------
    offset : (..., 3) tensor
        Position from the middle of the head, mm, to the right, front and top.
    rng : Generator
        Draws how strong it is, and where the isocentre lies.

    Returns
    -------
    (..., 3) tensor

    Notes
    -----
    Third-order spherical harmonics of the coils: ``x (4 z² - x² - y²)`` of the two transverse
    ones, which are built alike, and ``z (2 z² - 3 x² - 3 y²)`` of the one along the bore.
    """
    isocentre = torch.as_tensor(rng.normal(0, (3, 5, 15)), dtype=torch.float32)
    x, y, z = ((offset - isocentre) / _BORE_MM).unbind(-1)
    across, along = rng.normal(0, 1.5, 2)
    transverse = across * (4 * z**2 - x**2 - y**2)
    return torch.stack(
        [transverse * x, transverse * y, along * z * (2 * z**2 - 3 * x**2 - 3 * y**2)], dim=-1
    )
