"""Auto-encoder whose bottleneck is one vector."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.layers import layers_of
from bids_gan.gan.networks.unet import ConvBlock


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
        if size % 2 ** len(widths):
            raise ValueError(f"size {size} is not a multiple of {2 ** len(widths)}")
        convolution = layers_of(dimensions).convolution
        self.size = (size,) * dimensions
        self.coarse = (widths[-1], *(size // 2 ** len(widths),) * dimensions)
        numbers = widths[-1] * (size // 2 ** len(widths)) ** dimensions
        self.contract = nn.Sequential(
            *(
                ConvBlock(a, b, stride=2, dimensions=dimensions)
                for a, b in itertools.pairwise((channels, *widths))
            )
        )
        self.to_latent = nn.Linear(numbers, latent)
        self.from_latent = nn.Linear(latent, numbers)
        self.expand = nn.ModuleList(
            ConvBlock(a, b, dimensions=dimensions)
            for a, b in itertools.pairwise((*widths[::-1], widths[0]))
        )
        self.head = convolution(widths[0], channels, 3, padding=1)

    def encode(self, x: Tensor) -> Tensor:
        """Latent vector (N, latent) of an image (N, channels, ...) of the size agreed on."""
        if x.shape[2:] != self.size:
            raise ValueError(f"image of {tuple(x.shape[2:])} voxels, made for {self.size}")
        return self.to_latent(self.contract(x).flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        """Raw image (N, channels, ...) of a latent vector."""
        x = self.from_latent(z).unflatten(1, self.coarse)
        for block in self.expand:
            x = block(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        """Raw reconstruction of an image."""
        return self.decode(self.encode(x))
