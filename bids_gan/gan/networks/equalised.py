"""Layers of progressively grown networks (Karras et al. 2018, https://arxiv.org/abs/1710.10196)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Equalised(nn.Module):
    """Layer whose weights are all of one size, and scaled when it is used.

    Parameters
    ----------
    layer : module
        Linear or convolution; its weights become N(0, 1), its bias zero.
    gain : float

    Notes
    -----
    Adam moves every weight by the same amount a step; so all layers learn at one speed.
    """

    def __init__(self, layer: nn.Module, gain: float = math.sqrt(2)):
        super().__init__()
        nn.init.normal_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.layer = layer
        self.scale = gain / math.sqrt(layer.weight[0].numel())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer with weights of variance ``gain² / inputs``."""
        return self.layer(x * self.scale)


class PixelNorm(nn.Module):
    """Root mean square over channels becomes one at every voxel, so that nothing runs away."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, ...)."""
        return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-8).to(x.dtype)


class BatchDeviation(nn.Module):
    """A channel that says how much the images of a batch differ, against collapse to one image."""

    def forward(self, x: Tensor) -> Tensor:
        """Append it to (N, C, ...): standard deviation over N, mean over the rest."""
        variance = x.float().var(0, correction=0)
        deviation = (variance + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat([x, deviation.expand_as(x[:, :1])], dim=1)
