"""Second Gaussian derivatives at several scales (L6 and L12 of Yi et al. 2018)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor

from bids_gan.gan.losses.filters import Spacing, extend, gaussian, masked_blur
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision

#: standard deviations of the Gaussians in mm
SIGMAS_MM = (1.0, 2.0)
#: amplitude below which detail is nothing, in units of the image
FAINTEST = 1e-3


@full_precision
def sharpness_difference(
    image: Tensor,
    target: Tensor,
    mask: Tensor,
    sigmas_mm: Sequence[float] = SIGMAS_MM,
    spacing: Spacing = 1.0,
) -> Tensor:
    """Difference of the local amount of detail (L6).

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
    sigmas_mm : sequence of float
        Scales; the loss is their mean.
    spacing : float or sequence of float
        Voxel size in mm.

    Notes
    -----
    In place of a network trained to rate sharpness: detail is the root mean square, in a Gaussian
    window of twice the scale, of the Laplacian of Gaussian, which is multiplied by σ² so that its
    unit is that of the image. Blur and noise are both seen; a constant that is added and a change
    of sign are not, and a shift by less than the window is seen little.
    """
    total = 0.0
    for sigma in sigmas_mm:
        a, b = (_detail(x, mask, sigma, spacing) for x in (image, target))
        total = total + masked_mean((a - b).abs(), mask)
    return total / len(sigmas_mm)


@full_precision
def steerable_difference(
    image: Tensor,
    target: Tensor,
    mask: Tensor,
    sigmas_mm: Sequence[float] = SIGMAS_MM,
    spacing: Spacing = 1.0,
) -> Tensor:
    """Difference of the responses to steerable second-derivative filters (L12).

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
    sigmas_mm : sequence of float
        Scales; the loss is their mean.
    spacing : float or sequence of float
        Voxel size in mm.

    Notes
    -----
    Second derivatives of a Gaussian along any direction are sums of six basis responses (three of
    a slice), the entries of the Hessian (Freeman and Adelson 1991, doi:10.1109/34.93808), from
    which vessel and tract filters are made. Each is multiplied by σ². A constant that is added
    changes nothing, nor does a slope, apart from the border.
    """
    total = 0.0
    for sigma in sigmas_mm:
        error = extend(image - target, mask, sigma, spacing)
        total = total + sum(
            # an entry beside the diagonal stands in the Hessian twice
            (1 if a == b else 2) * masked_mean(_hessian(error, a, b, sigma, spacing).abs(), mask)
            for a, b in itertools.combinations_with_replacement(range(image.dim() - 2), 2)
        )
    return total / len(sigmas_mm)


def _hessian(image: Tensor, a: int, b: int, sigma: float, spacing: Spacing) -> Tensor:
    """Second derivative along axes `a` and `b`, times σ²."""
    orders = [int(axis == a) + int(axis == b) for axis in range(image.dim() - 2)]
    return sigma**2 * gaussian(image, sigma, spacing, orders)


def _detail(image: Tensor, mask: Tensor, sigma: float, spacing: Spacing) -> Tensor:
    whole = extend(image, mask, sigma, spacing)
    laplacian = sum(_hessian(whole, a, a, sigma, spacing) for a in range(image.dim() - 2))
    power = masked_blur(laplacian.square(), mask, 2 * sigma, spacing)
    return (power + FAINTEST**2).sqrt()
