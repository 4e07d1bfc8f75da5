"""Structural similarity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_gan.gan.losses.image import masked_mean

WINDOW = 7


def dissimilarity(image: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.0) -> Tensor:
    """One minus the mean structural similarity (SSIM) inside the mask.

    Parameters
    ----------
    image, target, mask : (N, 1, ...) tensor
        Of slices or volumes.
    data_range : float
        Of the contrast, the same for all images.

    Notes
    -----
    Wang et al. 2004 (https://doi.org/10.1109/TIP.2003.819861), with a uniform window.
    """
    pool = {4: F.avg_pool2d, 5: F.avg_pool3d}[image.dim()]

    def local(x: Tensor) -> Tensor:
        return pool(x, WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)

    with torch.autocast(image.device.type, enabled=False):
        a, b = image.float() * mask, target.float() * mask
        mean_a, mean_b = local(a), local(b)
        variances = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
        covariance = local(a * b) - mean_a * mean_b
        c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        similarity = luminance * (2 * covariance + c2) / (variances + c2)
        return masked_mean(1 - similarity, mask.float())
