"""Structural similarity (L9 of Yi et al. 2018)."""

from __future__ import annotations

from torch import Tensor

from bids_gan.gan.losses.filters import Spacing, inside, masked_blur
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision

#: standard deviation of the window in mm: 11 voxels wide at 1 mm
SIGMA_MM = 1.5


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
    similarity = luminance * (2 * covariance + c2) / (variances + c2)
    return masked_mean(1 - similarity, mask)
