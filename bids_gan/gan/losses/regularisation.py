"""Losses that keep what the input has (L11 and L18 of Yi et al. 2018); they need no pair."""

from __future__ import annotations

from torch import Tensor

from bids_gan.gan.losses.filters import Spacing, inside, masked_blur
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision


@full_precision
def self_regularisation(
    image: Tensor, source: Tensor, mask: Tensor, sigma_mm: float = 0.0, spacing: Spacing = 1.0
) -> Tensor:
    """Mean absolute difference of an image and the one that it was made of (L11).

    Parameters
    ----------
    image, source : (N, C, ...) tensor
        Of one intensity scale.
    mask : (N, 1, ...) tensor
    sigma_mm : float
        Compare after a Gaussian blur: detail may change, the rest may not.
    spacing : float or sequence of float
        Voxel size in mm.

    Notes
    -----
    Shrivastava et al. 2017, https://arxiv.org/abs/1612.07828. With an image of the target for
    input it is CycleGAN's identity loss.
    """
    error = inside(image - source, mask)
    if sigma_mm:
        error = masked_blur(error, mask, sigma_mm, spacing)
    return masked_mean(error.abs(), mask)


@full_precision
def regulation(image: Tensor, reference: Tensor, mask: Tensor) -> Tensor:
    """Difference of the mean intensity of every row, column and slice (L18).

    Parameters
    ----------
    image : (N, C, ...) tensor
        Of slices or volumes.
    reference : (N, C, ...) tensor
        The target, or the input where it has the intensity scale of the target.
    mask : (N, 1, ...) tensor

    Notes
    -----
    Means are taken inside the mask over all axes but one, their differences averaged along that
    one, and summed over the choices of it. What moves intensity about within a slice without
    changing its mean, for each direction of slicing, is not seen.
    """
    error = inside(image - reference, mask)
    kept = (mask > 0).to(error.dtype)
    axes = set(range(2, image.dim()))
    total = 0.0
    for axis in axes:
        others = tuple(axes - {axis})
        count = kept.sum(others)
        profile = error.sum(others) / count.clamp_min(1.0)
        total = total + masked_mean(profile.abs(), (count > 0).to(error.dtype))
    return total
