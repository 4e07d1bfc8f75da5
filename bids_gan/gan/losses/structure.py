"""Structural similarity (L9 of Yi et al. 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_gan.gan.losses.filters import Spacing, inside, masked_blur
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision

#: standard deviation of the window in mm: 11 voxels wide at 1 mm
SIGMA_MM = 1.5
WINDOW = 11
#: of the resolutions of MS-SSIM, finest first
POWERS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@full_precision
def dissimilarity(
    image: Tensor,
    target: Tensor,
    mask: Tensor,
    data_range: float = 1.0,
    sigma_mm: float = SIGMA_MM,
    spacing: Spacing = 1.0,
) -> Tensor:
    """One minus the mean structural similarity (SSIM) inside the mask.

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
        Each window is a weighted mean over its voxels in the mask.
    data_range : float
        Of the contrast, the same for all images; never of the batch at hand.
    sigma_mm : float
        Standard deviation of the Gaussian window.
    spacing : float or sequence of float
        Voxel size in mm.

    Notes
    -----
    ``(2 μx μy + c1) (2 σxy + c2) / ((μx² + μy² + c1) (σx² + σy² + c2))`` with c1 = (0.01 L)² and
    c2 = (0.03 L)² (Wang et al. 2004, doi:10.1109/TIP.2003.819861). Symmetric in its two images,
    and the same when both and `data_range` are multiplied by one number.
    """

    luminance, structure = _similarity(image, target, mask, data_range, sigma_mm, spacing)
    return masked_mean(1 - luminance * structure, mask)


@full_precision
def multi_scale_similarity(image: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Mean structural similarity at several resolutions (MS-SSIM), of whole images.

    Parameters
    ----------
    image, target : (N, C, ...) tensor
        Of slices or volumes.
    data_range : float
        See :func:`dissimilarity`.

    Returns
    -------
    (N,) tensor
        1 for identical images.

    Notes
    -----
    Product of the mean contrast and structure at each of up to five resolutions, each half of the
    one before, and of the luminance at the coarsest, to the published powers (Wang et al. 2003,
    doi:10.1109/ACSSC.2003.1292216). Resolutions end where the window of 11 voxels would not fit,
    and the powers of those that are left sum to one. A mean below zero counts as zero.
    """
    scales = 1
    while scales < len(POWERS) and min(image.shape[2:]) >= WINDOW * 2**scales:
        scales += 1
    powers = [power / sum(POWERS[:scales]) for power in POWERS[:scales]]
    result, dims = 1.0, tuple(range(1, image.dim()))
    for scale, power in enumerate(powers, start=1):
        luminance, term = _similarity(image, target, torch.ones_like(image), data_range)
        if scale == scales:
            term = luminance * term
        result = result * term.mean(dims).clamp_min(0) ** power
        image, target = (F.interpolate(x, scale_factor=0.5, mode="area") for x in (image, target))
    return result


def _similarity(
    image: Tensor,
    target: Tensor,
    mask: Tensor,
    data_range: float,
    sigma_mm: float = SIGMA_MM,
    spacing: Spacing = 1.0,
) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at every voxel."""

    def local(values: Tensor) -> Tensor:
        return masked_blur(values, mask, sigma_mm, spacing)

    # one shift for both changes no variance and keeps their differences of squares exact
    shift = masked_mean(inside(target, mask), mask).detach()
    a, b = inside(image - shift, mask), inside(target - shift, mask)
    mean_a, mean_b = local(a), local(b)
    variances = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_a, mean_b = mean_a + shift, mean_b + shift
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)
