"""Difference of images as a frozen network sees them (L8, L10 and L16 of Yi et al. 2018).

The network is the encoder of our own anatomy network, so nothing is downloaded and the features
know brains. Its range of vision reaches beyond a mask, what it sees there is zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.precision import full_precision


class FeatureLoss(nn.Module, ABC):
    """A loss of the features of two images inside a mask.

    Parameters
    ----------
    network : module
        With ``encode(x) -> list of features``, finest first; it is frozen.
    levels : int
        How many of the finest levels count.
    """

    def __init__(self, network: nn.Module, levels: int = 3):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.levels = levels

    @full_precision
    def forward(self, image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Sum over levels for two (N, 1, ...) images; zero for equal ones."""
        network = self.network.to(image.device)
        seen, wanted = (network.encode(inside(x, mask)) for x in (image, target))
        levels = zip(seen[: self.levels], wanted[: self.levels], strict=True)
        return sum(self.level(a, b) for a, b in levels)

    @abstractmethod
    def level(self, seen: Tensor, wanted: Tensor) -> Tensor:
        """Difference of the features (N, C, ...) of one level."""


class PerceptualLoss(FeatureLoss):
    """Mean absolute difference of the features (L8).

    Johnson et al. 2016, https://arxiv.org/abs/1603.08155, took a network for photographs.
    """

    def level(self, seen: Tensor, wanted: Tensor) -> Tensor:
        """Mean absolute difference."""
        return (seen - wanted).abs().mean()


class StyleContentLoss(PerceptualLoss):
    """:class:`PerceptualLoss` plus the difference of the features' correlations (L10).

    Parameters
    ----------
    network, levels
        See :class:`FeatureLoss`.
    style : float
        Weight of the second against the first; 0.1 or less.

    Notes
    -----
    The style of a level is its Gram matrix ``φ φᵀ`` over N places, compared by
    ``|difference|² / (C N)²`` (Gatys et al. 2016, doi:10.1109/CVPR.2016.265): which features occur
    together, wherever they do.
    """

    def __init__(self, network: nn.Module, levels: int = 3, style: float = 0.1):
        super().__init__(network, levels)
        self.style = style

    def level(self, seen: Tensor, wanted: Tensor) -> Tensor:
        """Content and style."""
        style = (_gram(seen) - _gram(wanted)).square().mean()
        return super().level(seen, wanted) + self.style * style


class SaliencyLoss(FeatureLoss):
    """Difference of the attention that the network pays to each place (L16).

    The attention of a level is ``sum over channels of φ²``, scaled to norm one in each image
    (Zagoruyko and Komodakis 2017, https://arxiv.org/abs/1612.03928), so how strongly the network
    responds does not count, only where.
    """

    def level(self, seen: Tensor, wanted: Tensor) -> Tensor:
        """Summed absolute difference of the maps, over the square root of their size."""
        a, b = _attention(seen), _attention(wanted)
        return (a - b).abs().sum(1).mean() / a.shape[1] ** 0.5


def _gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def _attention(features: Tensor) -> Tensor:
    power = features.square().sum(1).flatten(1)
    return power / torch.linalg.vector_norm(power, dim=1, keepdim=True).clamp_min(1e-12)
