"""Encoder half of a ResNet generator: image to features of a quarter of its size."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.resnet import ResidualBlock, convolution_block, initialise


class ResNetEncoder(nn.Module):
    """c7s1-b, d2b, d4b, R4b × blocks.

    Parameters
    ----------
    in_channels : int
    base : int
        Channels b of the first layer.
    blocks : int
    dimensions : {3, 2}
    """

    def __init__(self, in_channels: int, base: int = 32, blocks: int = 3, dimensions: int = 3):
        super().__init__()
        self.net = nn.Sequential(
            convolution_block(in_channels, base, 7, dimensions=dimensions),
            convolution_block(base, 2 * base, stride=2, dimensions=dimensions),
            convolution_block(2 * base, 4 * base, stride=2, dimensions=dimensions),
            *(ResidualBlock(4 * base, dimensions) for _ in range(blocks)),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, ...), sizes multiples of 4, to (N, 4b, ...) of a quarter."""
        return self.net(x)
