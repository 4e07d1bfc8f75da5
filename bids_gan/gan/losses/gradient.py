"""First derivatives of images (L4 and L5 of Yi et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from bids_gan.gan.losses.filters import Spacing, extend, gaussian, inside, voxel_size
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision


@full_precision
def gradient_difference(
    image: Tensor, target: Tensor, mask: Tensor, spacing: Spacing = 1.0
) -> Tensor:
    """Absolute difference of the derivatives, mean over the mask, sum over the axes (L4).

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
        A difference counts where both of its voxels are inside.
    spacing : float or sequence of float
        Voxel size in mm; the loss is per mm.

    Notes
    -----
    Adding a constant to either image changes nothing. Differences are those of neighbours: central
    ones are blind to a checkerboard, the artefact that a generator is most prone to. Compare
    Mathieu et al. 2016, https://arxiv.org/abs/1511.05440.
    """
    error = inside(image - target, mask)
    return sum(
        masked_mean(error.diff(dim=axis).abs() / size, _both(mask, axis))
        for axis, size in enumerate(voxel_size(spacing, image), start=2)
    )


@full_precision
def gradient_consistency(image: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """One minus the squared correlation of the derivatives of an image and of its source (L4).

    Needs no pair: edges stay where they were, whatever the contrast has become. In [0, 1].

    Parameters
    ----------
    image, source : (N, C, ...) tensor
    mask : (N, 1, ...) tensor

    Notes
    -----
    Mean over the axes. Hiasa et al. 2018 (https://arxiv.org/abs/1803.06629) take the correlation
    itself; squared it does not mind that T1w and T2w rank tissues oppositely. Gain, offset and
    sign of either image and the voxel size have no influence. Zero only where one image is such a
    rescaling of the other.
    """
    dims = tuple(range(1, image.dim()))
    shares = []
    for axis in dims[1:]:
        both = _both(mask, axis)
        a, b = (inside(x, mask).diff(dim=axis) * both for x in (image, source))
        product = (a * b).sum(dims).square()
        shares.append(product / (a.square().sum(dims) * b.square().sum(dims)).clamp_min(1e-20))
    present = mask.flatten(1).any(dim=1)
    return torch.where(present, 1 - torch.stack(shares).mean(0), 0.0).mean()


@full_precision
def edge_weighted(
    image: Tensor, target: Tensor, mask: Tensor, sigma_mm: float = 1.0, spacing: Spacing = 1.0
) -> Tensor:
    """Absolute error weighted by how much of an edge the target has there (L5).

    Parameters
    ----------
    image, target : (N, C, ...) tensor
    mask : (N, 1, ...) tensor
    sigma_mm : float
        Of the Gaussian whose derivatives find the edges.
    spacing : float or sequence of float
        Voxel size in mm.

    Notes
    -----
    The weight is the length of the target's gradient over its maximum in the mask of each image:
    it lies in [0, 1] and takes part in no gradient. Where the target is flat errors are free, so
    this stands beside a voxel-wise loss, not in its place.
    """
    with torch.no_grad():
        weight = inside(_steepness(target, mask, sigma_mm, spacing), mask)
        dims = tuple(range(1, weight.dim()))
        weight = weight / weight.amax(dims, keepdim=True).clamp_min(1e-12)
    return masked_mean(weight * inside(image - target, mask).abs(), mask)


def _steepness(image: Tensor, mask: Tensor, sigma_mm: float, spacing: Spacing) -> Tensor:
    whole = extend(image, mask, sigma_mm, spacing)
    axes = range(image.dim() - 2)
    slopes = [gaussian(whole, sigma_mm, spacing, [int(a == b) for b in axes]) for a in axes]
    return torch.stack(slopes).square().sum(0).sqrt()


def _both(mask: Tensor, axis: int) -> Tensor:
    """Whether a voxel and its next neighbour along an axis are inside, as numbers."""
    length = mask.shape[axis] - 1
    kept = (mask.narrow(axis, 0, length) > 0) & (mask.narrow(axis, 1, length) > 0)
    return kept.to(mask.dtype)
