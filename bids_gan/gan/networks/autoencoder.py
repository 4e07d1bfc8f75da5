"""Auto-encoder whose bottleneck is one vector."""

from __future__ import annotations

import itertools
import math

import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.layers import layers_of
from bids_gan.gan.networks.unet import ConvBlock
from bids_gan.gan.networks.vector_encoder import VectorEncoder


class Autoencoder(nn.Module):
    """Image to a vector and back.

    Parameters
    ----------
    channels : int
    size : int
        Edge of the images, a multiple of ``2**len(widths)``; of whole volumes
        :func:`bids_gan.gan.inference.tiled` makes cubes of that size.
    latent : int
        Length of the vector.
    widths : sequence of int
        Channels after each halving of the image.
    dimensions : {3, 2}

    Attributes
    ----------
    encode : VectorEncoder
        Latent vector (N, latent) of an image (N, channels, ...).
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 32,
        latent: int = 128,
        widths: tuple[int, ...] = (16, 32, 64, 128),
        dimensions: int = 3,
    ):
        super().__init__()
        self.encode = VectorEncoder(channels, size, latent, widths, dimensions)
        self.size, self.coarse = self.encode.size, self.encode.coarse
        self.from_latent = nn.Linear(latent, math.prod(self.coarse))
        self.expand = nn.ModuleList(
            ConvBlock(a, b, dimensions=dimensions)
            for a, b in itertools.pairwise((*widths[::-1], widths[0]))
        )
        self.head = layers_of(dimensions).convolution(widths[0], channels, 3, padding=1)

    def decode(self, z: Tensor) -> Tensor:
        """Raw image (N, channels, ...) of a latent vector."""
        x = self.from_latent(z).unflatten(1, self.coarse)
        for block in self.expand:
            x = block(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Raw reconstruction of an image."""
        return self.decode(self.encode(x))
