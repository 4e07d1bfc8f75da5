"""Gaussian filters and derivatives in millimetres, of slices and volumes, inside a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: radius of the kernels, standard deviations
TRUNCATE = 3.5
#: narrowest Gaussian whose derivatives can be sampled, voxels: close to a central difference
NARROWEST = 0.3

Spacing = float | Sequence[float]


def voxel_size(spacing: Spacing, image: Tensor) -> tuple[float, ...]:
    """Voxel size in mm along each spatial axis of (N, C, ...), from one number or one an axis."""
    dimensions = image.dim() - 2
    sizes = (spacing,) * dimensions if isinstance(spacing, int | float) else tuple(spacing)
    if len(sizes) != dimensions or min(sizes) <= 0:
        raise ValueError(f"spacing {spacing}: {dimensions} positive numbers are needed, in mm")
    return sizes


def inside(image: Tensor, mask: Tensor) -> Tensor:
    """The image with zeros outside its mask, whatever stood there, NaN included."""
    return torch.where(mask > 0, image, 0.0)


def gaussian_kernel(sigma: float, order: int = 0) -> Tensor:
    """Sampled Gaussian, or its first or second derivative.

    Parameters
    ----------
    sigma : float
        Standard deviation in voxels.
    order : {0, 1, 2}

    Returns
    -------
    (2r + 1,) float64 tensor
        To be correlated with: gives the value of a constant, the slope of a line, the second
        derivative of a parabola without error.
    """
    if order:
        sigma = max(sigma, NARROWEST)
    radius = max(round(TRUNCATE * sigma), 1 if order else 0)
    x = torch.arange(-radius, radius + 1, dtype=torch.double)
    kernel = torch.exp(-0.5 * (x / max(sigma, NARROWEST)) ** 2)
    kernel = kernel / kernel.sum()
    if order == 1:
        kernel = kernel * x
        return kernel / (kernel * x).sum()
    if order == 2:
        curve = kernel * (x**2 / sigma**2 - 1)
        curve = curve - kernel * curve.sum()
        return curve / (0.5 * curve * x**2).sum()
    return kernel


def correlate(image: Tensor, kernels: Sequence[Tensor], mode: str = "replicate") -> Tensor:
    """Correlate each spatial axis of (N, C, ...) with its own kernel.

    Parameters
    ----------
    image : (N, C, ...) tensor
    kernels : sequence of (2r + 1,) tensors
    mode : str
        Beyond the border: ``replicate`` repeats the last voxel, ``constant`` is zero.
    """
    for axis, kernel in enumerate(kernels):
        radius = len(kernel) // 2
        if radius == 0:
            continue
        length = image.shape[2 + axis]
        pad = [0] * (2 * len(kernels))
        pad[-1 - 2 * axis] = pad[-2 - 2 * axis] = radius
        padded = F.pad(image, pad, mode)
        # a sum of shifted copies: neither loops over channels nor needs the number of dimensions
        image = sum(
            weight * padded.narrow(2 + axis, start, length)
            for start, weight in enumerate(kernel.tolist())
        )
    return image


def gaussian(image: Tensor, sigma_mm: float, spacing: Spacing, orders: Sequence[int]) -> Tensor:
    """Gaussian derivative of (N, C, ...), of the order given for each axis, per mm.

    Borders are repeated.
    """
    sizes = voxel_size(spacing, image)
    kernels = [
        gaussian_kernel(sigma_mm / size, order) / size**order
        for size, order in zip(sizes, orders, strict=True)
    ]
    return correlate(image, kernels)


def masked_blur(image: Tensor, mask: Tensor, sigma_mm: float, spacing: Spacing) -> Tensor:
    """Gaussian-weighted mean over the voxels inside the mask; zero where none is near."""
    kernels = [gaussian_kernel(sigma_mm / size) for size in voxel_size(spacing, image)]
    weight = correlate(mask.to(image.dtype), kernels, "constant")
    return correlate(inside(image, mask), kernels, "constant") / weight.clamp_min(1e-6)


def extend(image: Tensor, mask: Tensor, sigma_mm: float, spacing: Spacing) -> Tensor:
    """Continue an image beyond its mask by the mean of what is near inside.

    A derivative at the border of the mask then sees the image, not the border.
    """
    return torch.where(mask > 0, image, masked_blur(image, mask, sigma_mm, spacing))
