"""Generator that keeps the anatomy: what it learns is how bright each intensity becomes, where."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.intensity_levels import HIGHEST, IntensityLevels, compressed
from bids_gan.gan.networks.layers import crop_to, layers_of, pad_to_multiple

#: raw value that a softplus (range ``positive``) turns into one
WHITE = math.log(math.e - 1)


class ToneCurves(nn.Module):
    """Give every voxel the value that a curve has at its intensity, a curve for every place.

    The curves are drawn at a coarse resolution, from the local histogram of the image and from
    what further channels say, and interpolated between the places.

    Parameters
    ----------
    in_channels : int
        The image, of which what is below zero counts as zero, and channels that are told to the
        network, such as labels.
    out_channels : int
        One curve each.
    levels : int
        Intensities at which a curve is known, evenly spaced on a compressed scale, see
        :func:`~bids_gan.gan.networks.intensity_levels.compressed`.
    width : int
        Channels of the coarse layers.
    factor : int
        Voxels from one curve to the next.
    dimensions : {3, 2}

    Notes
    -----
    After bilateral learning (Gharbi et al. 2017, https://arxiv.org/abs/1707.02880). A network of
    convolutions needs hundreds of steps to learn to copy an image, before it learns to change it;
    here the borders of the tissues are those of the input from the first step on.

    The curves begin flat, at the intensity of white matter. From a copy of the input, the way to
    exchanged bright and dark would be uphill for a while, and adversarial training stays below.

    What it cannot make is detail that the input does not show: voxels of one intensity and one
    neighbourhood stay alike.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        levels: int = 32,
        width: int = 64,
        factor: int = 4,
        dimensions: int = 3,
    ):
        super().__init__()
        convolution = layers_of(dimensions).convolution
        told = in_channels - 1
        self.outputs, self.factor = out_channels, factor
        self.levels = IntensityLevels(levels, HIGHEST)
        self.pool = layers_of(dimensions).average_pool(factor)
        self.net = nn.Sequential(
            convolution(levels + told, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            convolution(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            convolution(width, width, 3, padding=1),
            nn.LeakyReLU(0.1),
            convolution(width, levels * out_channels, 1),
        )
        nn.init.normal_(self.net[-1].weight, std=0.02)
        nn.init.constant_(self.net[-1].bias, WHITE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, ...) to raw (N, out_channels, ...)."""
        padded = pad_to_multiple(x, self.factor, "replicate")
        near = self.levels(compressed(padded[:, :1]))
        seen = self.pool(torch.cat([near, padded[:, 1:]], dim=1))
        mode = "trilinear" if x.dim() == 5 else "bilinear"
        curves = F.interpolate(self.net(seen), size=padded.shape[2:], mode=mode)
        values = [(near * curve).sum(1, keepdim=True) for curve in curves.chunk(self.outputs, 1)]
        return crop_to(torch.cat(values, dim=1), x.shape[2:])
