"""Patch discriminator: judges overlapping patches instead of whole volumes."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bids_gan.gan.networks.intensity_levels import IntensityLevels
from bids_gan.gan.networks.layers import layers_of


def judging_layers(
    in_channels: int, base: int, layers: int, dimensions: int
) -> tuple[list[nn.Module], int]:
    """C-b, C-2b, C-4b, ...: `layers` of stride 2 and one of stride 1, and the channels at last."""
    convolution = layers_of(dimensions).convolution
    widths = [in_channels, *(base * 2**i for i in range(layers + 1))]
    blocks: list[nn.Module] = []
    for index, (a, b) in enumerate(itertools.pairwise(widths)):
        stride = 2 if index < layers else 1
        blocks += [spectral_norm(convolution(a, b, 4, stride, 1)), nn.LeakyReLU(0.2)]
    return blocks, widths[-1]


class PatchDiscriminator(nn.Module):
    """PatchGAN with spectral normalisation, C64-C128-C256-C512 in Isola's notation at base 64.

    Parameters
    ----------
    in_channels : int
        Channels of condition and image together.
    base : int
        Channels of the first layer.
    layers : int
        Number of stride-2 layers; 3 give a receptive field of 70 voxels.
    dimensions : {3, 2}
    levels : int
        Judge so many soft intensity levels of every channel (see :class:`IntensityLevels`) instead
        of the intensity itself; 0 for the latter.
    window : int
        Of levels, look at their shares in cubes of this edge: local histograms.

    Notes
    -----
    The layer before the last has stride 1, which is what makes the receptive field 70 and not 94
    (Isola et al. 2017, https://arxiv.org/abs/1611.07004). Spectral normalisation replaces instance
    normalisation, whose statistics would depend on the crop.
    """

    def __init__(
        self,
        in_channels: int,
        base: int = 32,
        layers: int = 3,
        dimensions: int = 3,
        levels: int = 0,
        window: int = 1,
    ):
        super().__init__()
        convolution, pool = layers_of(dimensions).convolution, layers_of(dimensions).average_pool
        seen = [IntensityLevels(levels), pool(window)] if levels else []
        blocks, width = judging_layers(in_channels * max(levels, 1), base, layers, dimensions)
        self.net = nn.Sequential(*seen, *blocks, spectral_norm(convolution(width, 1, 4, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return one realism score a patch, (N, 1, D', H', W')."""
        return self.net(x)
