"""ResNet generator of CycleGAN in 3D: the classical generator that ours is measured against."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.ReflectionPad3d(size // 2),
        nn.Conv3d(inputs, outputs, size, stride),
        nn.InstanceNorm3d(outputs, affine=True),
        nn.ReLU(),
    )


class ResidualBlock(nn.Module):
    """R-k: two reflection-padded convolutions 3³ and the identity."""

    def __init__(self, channels: int):
        super().__init__()
        # the second half without its rectifier, so that the sum is free to fall
        self.net = nn.Sequential(
            _convolution(channels, channels), *_convolution(channels, channels)[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add what was learnt to the input."""
        return x + self.net(x)


class ResNetGenerator(nn.Module):
    """c7s1-b, d2b, d4b, R4b × blocks, u2b, ub, c7s1-C in the notation of Johnson and Zhu.

    Parameters
    ----------
    in_channels, out_channels : int
    base : int
        Channels b of the first layer; 32 with 9 blocks has 8.55 million parameters.
    blocks : int

    Notes
    -----
    CycleGAN's generator (Zhu et al. 2017, https://arxiv.org/abs/1703.10593) with 3D kernels. Up
    means nearest neighbour and a convolution, which leaves no checkerboard (Odena et al. 2016,
    https://distill.pub/2016/deconv-checkerboard). The output is raw, not squashed.

    Instance normalisation uses the statistics of what it is given, at inference too: the output
    depends on the crop, and a network trained on patches must be run on patches of the same size
    (:func:`bids_gan.gan.inference.tiled`).
    """

    def __init__(self, in_channels: int, out_channels: int, base: int = 32, blocks: int = 9):
        super().__init__()
        up = nn.Upsample(scale_factor=2, mode="nearest")
        self.net = nn.Sequential(
            _convolution(in_channels, base, 7),
            _convolution(base, 2 * base, stride=2),
            _convolution(2 * base, 4 * base, stride=2),
            *(ResidualBlock(4 * base) for _ in range(blocks)),
            nn.Sequential(up, _convolution(4 * base, 2 * base)),
            nn.Sequential(up, _convolution(2 * base, base)),
            nn.ReflectionPad3d(3),
            nn.Conv3d(base, out_channels, 7),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to (N, out_channels, D, H, W); sizes of 8 and more."""
        d, h, w = x.shape[2:]
        x = self.net(F.pad(x, (0, -w % 4, 0, -h % 4, 0, -d % 4), mode="reflect"))
        return x[:, :, :d, :h, :w]
