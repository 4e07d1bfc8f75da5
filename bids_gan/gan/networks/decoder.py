"""Decoder half of a ResNet generator: features to an image of four times their size."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.resnet import ResidualBlock, image_layer, initialise, up_block


class ResNetDecoder(nn.Module):
    """R4b × blocks, u2b, ub, c7s1-C.

    Parameters
    ----------
    out_channels : int
    base : int
        Channels b before the last layer.
    blocks : int
    dimensions : {3, 2}
    """

    def __init__(self, out_channels: int, base: int = 32, blocks: int = 3, dimensions: int = 3):
        super().__init__()
        self.net = nn.Sequential(
            *(ResidualBlock(4 * base, dimensions) for _ in range(blocks)),
            up_block(4 * base, 2 * base, dimensions),
            up_block(2 * base, base, dimensions),
            *image_layer(base, out_channels, dimensions),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 4b, ...) to a raw image (N, out_channels, ...) of four times the size."""
        return self.net(x)
