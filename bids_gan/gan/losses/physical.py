"""Images against what a scanner recorded, through a model of the acquisition (L17 of Yi et al.).

Models map images (N, C, ...) to what would have been acquired, on the same grid, and can be
differentiated with respect to the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision


@full_precision
def acquisition_difference(
    image: Tensor, acquired: Tensor, mask: Tensor, model: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean squared difference of what a model predicts from the image and what was acquired.

    Parameters
    ----------
    image : (N, C, ...) tensor
    acquired : (N, C', ...) tensor
        May be complex.
    mask : (N, 1, ...) tensor
        The image outside it counts as zero, and what was acquired there not at all.
    model : callable
        For example one of this module with its other arguments bound.

    Notes
    -----
    Zero for every image that explains the data: what the model does not transmit, it cannot judge.
    """
    difference = inside(model(inside(image, mask)) - acquired, mask)
    power = difference.abs().square() if difference.is_complex() else difference.square()
    return masked_mean(power, mask)


def epi_difference(image: Tensor, acquired: Tensor, mask: Tensor, shift: Tensor) -> Tensor:
    """Mean squared difference of an image, distorted, and what an echo-planar readout recorded.

    Parameters
    ----------
    image, acquired, mask
        See :func:`acquisition_difference`.
    shift : (N, 1, ...) tensor
        See :func:`epi_distortion`; along the second spatial axis.
    """
    model = partial(epi_distortion, shift=shift, axis=1)
    return acquisition_difference(image, acquired, mask, model)


def epi_distortion(image: Tensor, shift: Tensor, axis: int) -> Tensor:
    """Displace signal along the phase-encoding axis, conserving it.

    Parameters
    ----------
    image : (N, C, ...) tensor
        Undistorted slices or volumes.
    shift : (N, 1, ...) tensor
        Displacement in voxels at each undistorted place.
    axis : int
        Spatial axis, 0 for the first.

    Notes
    -----
    Every voxel is a box of signal, whose pieces land on the interval between their displaced
    edges; a recorded voxel gets the share that overlaps it. No shift is the identity, folded
    regions add up, what leaves the field of view is lost.
    """
    lines = image.movedim(2 + axis, -1)
    shift = shift.detach().to(image.dtype).movedim(2 + axis, -1)
    length = lines.shape[-1]
    # short enough that each piece touches two voxels at most
    steepest = (1 + shift.diff(dim=-1)).abs().max() if length > 1 else torch.ones(())
    pieces = max(2, math.ceil(float(steepest)))
    place = torch.linspace(-0.5, length - 0.5, length * pieces + 1).to(shift)
    within = place.clamp(0, length - 1)
    below = within.long().clamp_max(max(length - 2, 0))
    above = (below + 1).clamp_max(length - 1)
    edges = place + torch.lerp(shift[..., below], shift[..., above], within - below)
    low = torch.minimum(edges[..., 1:], edges[..., :-1])
    width = (edges[..., 1:] - edges[..., :-1]).abs()
    first = (low + 0.5).floor()
    share = ((first + 0.5 - low) / width.clamp_min(1e-9)).clamp(0, 1)
    signal = lines.repeat_interleave(pieces, dim=-1) / pieces
    result = torch.zeros_like(lines)
    for voxel, part in ((first, share), (first + 1, 1 - share)):
        kept = (voxel >= 0) & (voxel < length)
        index = torch.where(kept, voxel, 0).long().expand_as(signal)
        result = result.scatter_add(-1, index, signal * part * kept)
    return result.movedim(-1, 2 + axis)


def undersampled(image: Tensor, sampled: Tensor) -> Tensor:
    """Image from part of its k-space, the rest zero.

    Parameters
    ----------
    image : (N, C, ...) tensor
    sampled : (...) or (N, 1, ...) tensor
        1 where k-space was read; the zero frequency comes first along each axis.

    Returns
    -------
    complex tensor of the shape of `image`

    Notes
    -----
    The transform is unitary, so a difference of such images has the norm that it has in k-space.
    """
    dims = tuple(range(2, image.dim()))
    spectrum = torch.fft.fftn(image, dim=dims, norm="ortho")
    return torch.fft.ifftn(sampled * spectrum, dim=dims, norm="ortho")


def spoiled_gradient_echo(maps: Tensor, tr: float, te: float, flip: float) -> Tensor:
    """Signal of a spoiled gradient echo from quantitative maps.

    Parameters
    ----------
    maps : (N, 3, ...) tensor
        Proton density, T1 and T2* in seconds; the times positive where the density is.
    tr, te : float
        Seconds.
    flip : float
        Degrees.

    Returns
    -------
    (N, 1, ...) tensor

    Notes
    -----
    ``pd sin(a) (1 - E1) / (1 - E1 cos(a)) exp(-TE / T2*)``, ``E1 = exp(-TR / T1)`` (Ernst and
    Anderson 1966).
    """
    density, t1, t2star = maps.split(1, dim=1)
    angle = math.radians(flip)
    e1 = torch.exp(-tr / t1.clamp_min(1e-6))
    steady = (1 - e1) / (1 - e1 * math.cos(angle))
    return density * math.sin(angle) * steady * torch.exp(-te / t2star.clamp_min(1e-6))


def fractional_anisotropy(tensor: Tensor) -> Tensor:
    """FA of diffusion tensors.

    Parameters
    ----------
    tensor : (N, 6, ...) tensor
        Dxx, Dyy, Dzz, Dxy, Dxz, Dyz, in any unit: multiples have the same FA.

    Returns
    -------
    (N, 1, ...) tensor in [0, 1] for tensors that are not negative
        0 where there is no tensor.

    Notes
    -----
    ``sqrt(3/2) |D - tr(D)/3 I| / |D|`` (Basser and Pierpaoli 1996,
    doi:10.1006/jmrb.1996.0086), without eigenvalues.
    """
    diagonal, rest = tensor.split(3, dim=1)
    off = 2 * rest.square().sum(1, keepdim=True)
    deviation = (diagonal - diagonal.mean(1, keepdim=True)).square().sum(1, keepdim=True) + off
    size = diagonal.square().sum(1, keepdim=True) + off
    there = (size > 0) & (deviation > 0)
    ratio = torch.where(there, deviation, 1.0) / torch.where(there, size, 1.0)
    return torch.where(there, (1.5 * ratio).sqrt(), 0.0)
