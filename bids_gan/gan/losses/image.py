"""Voxel-wise losses inside a mask (L2 of Yi et al. 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.precision import full_precision

#: error at which the Huber loss turns from a parabola to a line, and the rounding of Charbonnier's
HUBER, CHARBONNIER = 0.1, 1e-3

#: name -> penalty of an error; each is zero at zero
PENALTIES = {
    "l1": torch.abs,
    "l2": torch.square,
    "huber": lambda e: F.huber_loss(e, torch.zeros_like(e), reduction="none", delta=HUBER),
    "charbonnier": lambda e: (e.square() + CHARBONNIER**2).sqrt() - CHARBONNIER,
}


@full_precision
def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (N, C, ...) where the mask (N, 1, ...) is set; zero, not NaN, for an empty mask."""
    weight = mask.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(1.0)


def voxelwise(prediction: Tensor, target: Tensor, mask: Tensor, penalty: str = "l1") -> Tensor:
    """Mean penalty of the error inside the mask.

    Parameters
    ----------
    prediction, target : (N, C, ...) tensor
        Of slices or volumes.
    mask : (N, 1, ...) tensor
        What lies outside has no influence.
    penalty : {'l1', 'l2', 'huber', 'charbonnier'}
        ``|e|``, ``e²``, ``e²/2`` up to :data:`HUBER` and a line beyond, or
        ``sqrt(e² + ε²) - ε`` with :data:`CHARBONNIER`.

    Notes
    -----
    The same for every permutation of the voxels: it knows nothing of structure.
    """
    if penalty not in PENALTIES:
        raise ValueError(f"penalty {penalty!r}: accepted are {', '.join(PENALTIES)}")
    return _voxelwise(prediction, target, mask, penalty)


@full_precision
def _voxelwise(prediction: Tensor, target: Tensor, mask: Tensor, penalty: str) -> Tensor:
    return masked_mean(PENALTIES[penalty](inside(prediction - target, mask)), mask)


def masked_l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error inside the mask, :func:`voxelwise` by its most frequent name."""
    return voxelwise(prediction, target, mask, "l1")


def agreement(prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    """Masked L1 and Pearson correlation of two volumes, for validation."""
    where = mask > 0.5
    # autocast leaves float64 alone; in bfloat16 the correlation would have two digits
    both = torch.stack([prediction[where], target[where]]).double()
    return {
        "l1": float((both[0] - both[1]).abs().mean()),
        "r": float(torch.corrcoef(both)[0, 1]),
    }


@full_precision
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
    return masked_mean(inside(error * torch.exp(-log_scale) + log_scale, mask), mask)


@full_precision
def gaussian_nll(
    error: Tensor, log_variance: Tensor, mask: Tensor, fairness: float = 0.5
) -> Tensor:
    """Negative log-likelihood of errors under a normal law, without its constant.

    Parameters
    ----------
    error : tensor
        In units of the image.
    log_variance : tensor
        Predicted logarithm of the variance.
    mask : tensor
    fairness : float
        Weight every voxel by its predicted standard deviation to twice this power; at 0, the
        likelihood, voxels that are hard at first are given up, at 1 all count alike.

    Notes
    -----
    ``e² exp(-s) / 2 + s / 2``, weighted as Seitzer et al. (2022, https://arxiv.org/abs/2203.09168)
    propose. Its minimum is the mean and the variance of what is to be expected.
    """
    likelihood = (error.square() * torch.exp(-log_variance) + log_variance) / 2
    weight = torch.exp(fairness * log_variance.detach())
    return masked_mean(inside(weight * likelihood, mask), mask)
