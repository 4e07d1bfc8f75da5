"""Voxel-wise losses inside a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` is set; zero, not NaN, for an empty mask."""
    return (values * mask).sum() / mask.sum().clamp_min(1.0)


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error inside the mask."""
    return masked_mean((prediction - target).abs(), mask)


def agreement(prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    """Masked L1 and Pearson correlation of two volumes, for validation."""
    inside = mask > 0.5
    # autocast leaves float64 alone; in bfloat16 the correlation would have two digits
    both = torch.stack([prediction[inside], target[inside]]).double()
    return {
        "l1": float((both[0] - both[1]).abs().mean()),
        "r": float(torch.corrcoef(both)[0, 1]),
    }


def laplace_nll(error: Tensor, log_scale: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of absolute errors under a Laplace law, without its constant.

    Parameters
    ----------
    error : tensor
        Absolute error, in units of the image.
    log_scale : tensor
        Predicted logarithm of the Laplace scale.
    mask : tensor

    Notes
    -----
    ``|e| exp(-s) + s``: its minimum over s lies at ``exp(s) = |e|`` (Kendall and Gal 2017,
    https://arxiv.org/abs/1703.04977).
    """
    return masked_mean(error * torch.exp(-log_scale) + log_scale, mask)
