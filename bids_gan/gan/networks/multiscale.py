"""Discriminators of one image at several resolutions."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from bids_gan.gan.networks.layers import layers_of


class MultiScaleDiscriminator(nn.Module):
    """One patch discriminator for the image, one for its half size, and so on.

    Parameters
    ----------
    in_channels : int
    base : int
        Channels of the first layer; each of the next has twice as many.
    layers : int
        Stride-2 convolutions of each.
    scales : int
        How many there are. The smallest image must have ``2**layers`` voxels a side.
    dimensions : {3, 2}

    Notes
    -----
    As UNIT's: kernels 4, leaky rectifiers, no normalisation, a score from a kernel of size 1.
    """

    def __init__(
        self,
        in_channels: int,
        base: int = 64,
        layers: int = 4,
        scales: int = 3,
        dimensions: int = 3,
    ):
        super().__init__()
        kinds = layers_of(dimensions)
        self.halve = kinds.average_pool(3, stride=2, padding=1, count_include_pad=False)
        widths = [in_channels, *(base * 2**i for i in range(layers))]

        def discriminator() -> nn.Sequential:
            blocks = [
                nn.Sequential(kinds.convolution(a, b, 4, 2, 1), nn.LeakyReLU(0.2))
                for a, b in itertools.pairwise(widths)
            ]
            return nn.Sequential(*blocks, kinds.convolution(widths[-1], 1, 1))

        self.discriminators = nn.ModuleList(discriminator() for _ in range(scales))

    def at_scales(self, x: Tensor) -> list[tuple[nn.Module, Tensor]]:
        """Each discriminator with what it is to see of (N, in_channels, ...)."""
        result = []
        for discriminator in self.discriminators:
            result.append((discriminator, x))
            x = self.halve(x)
        return result

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores of patches, (N, 1, ...) a scale."""
        return [discriminator(seen) for discriminator, seen in self.at_scales(x)]
