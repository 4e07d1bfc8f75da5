"""Critic that grows with its generator."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from bids_gan.gan.networks.equalised import BatchDeviation, Equalised
from bids_gan.gan.networks.layers import layers_of
from bids_gan.gan.networks.progressive import SMALLEST, halve, stage_and_share
from bids_gan.gan.networks.unet import space_to_depth


class ProgressiveCritic(nn.Module):
    """Mirror of :class:`~bids_gan.gan.networks.progressive.ProgressiveGenerator`.

    Parameters
    ----------
    widths, dimensions
        See there.

    Attributes
    ----------
    progress : () tensor
        See there.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (128, 128, 64, 32, 16),
        dimensions: int = 3,
    ):
        super().__init__()
        convolution = layers_of(dimensions).convolution

        def block(inputs: int, outputs: int, size: int = 3) -> list[nn.Module]:
            layer = Equalised(convolution(inputs, outputs, size, padding=size // 2))
            return [layer, nn.LeakyReLU(0.2)]

        self.from_image = nn.ModuleList(
            nn.Sequential(*block(2**dimensions, width, 1)) for width in widths
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*block(b, b), *block(b, a)) for a, b in itertools.pairwise(widths)
        )
        self.last = nn.Sequential(
            BatchDeviation(),
            *block(widths[0] + 1, widths[0]),
            nn.Flatten(),
            Equalised(nn.Linear(widths[0] * (SMALLEST // 2) ** dimensions, widths[0])),
            nn.LeakyReLU(0.2),
            Equalised(nn.Linear(widths[0], 1), gain=1.0),
        )
        self.register_buffer("progress", torch.tensor(float(len(widths) - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Score (N, 1) of images (N, 1, ...) of the size grown to."""
        stage, share = stage_and_share(float(self.progress))
        features = self.from_image[stage](space_to_depth(x))
        for index in reversed(range(stage)):
            features = halve(self.blocks[index](features))
            if index == stage - 1 and share < 1.0:
                coarse = self.from_image[index](space_to_depth(halve(x)))
                features = torch.lerp(coarse, features, share)
        return self.last(features)
