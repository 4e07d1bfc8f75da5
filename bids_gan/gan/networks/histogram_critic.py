"""A discriminator of contrasts that looks at local histograms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from bids_gan.gan.networks.intensity_levels import HIGHEST, IntensityLevels, compressed
from bids_gan.gan.networks.layers import layers_of

#: how many levels, on each of several scales: a fine one alone tells only what would be better
#: nearby, and an intensity has no way to a distant one
SCALES = (3, 5, 9, 32)
#: the steepest slope that is told from steeper ones, per voxel
STEEPEST = 1.0


class HistogramDiscriminator(nn.Module):
    """Realism of patches and contrast of the image, from intensities and slopes that occur there.

    Parameters
    ----------
    in_channels : int
    classes : int
        Contrasts, each with its own score of realism.
    base : int
        Channels of the layers.
    window : int
        Edge in voxels of the cubes whose histograms are looked at.
    dimensions : {3, 2}

    Notes
    -----
    How bright the tissues are and how sharp their borders is what tells contrasts apart, and
    generated images from real ones. Strided convolutions take long to find either; shares of
    levels in cubes show both at once.

    Voxels that are exactly zero are outside the mask, and count for nothing: else fluid could be
    turned into background.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        base: int = 64,
        window: int = 4,
        dimensions: int = 3,
    ):
        super().__init__()
        convolution = layers_of(dimensions).convolution
        levels = sum(SCALES) + SCALES[-1]
        self.intensities = nn.ModuleList(IntensityLevels(n, HIGHEST) for n in SCALES)
        self.slopes = IntensityLevels(SCALES[-1], STEEPEST)
        self.share = layers_of(dimensions).average_pool(window)
        self.trunk = nn.Sequential(
            spectral_norm(convolution(levels * in_channels, base, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(convolution(base, base, 3, padding=1)),
            nn.LeakyReLU(0.2),
        )
        self.realism = spectral_norm(convolution(base, classes, 1))
        self.contrast = nn.Linear(base, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of patches (N, classes, ...) and logits of the classes (N, classes)."""
        intensity = compressed(x)
        near = [levels(intensity) for levels in self.intensities]
        seen = torch.cat([*near, self.slopes(slope(x))], dim=1)
        features = self.trunk(self.share(seen * (x > 0).any(1, keepdim=True)))
        return self.realism(features), self.contrast(features.flatten(2).mean(2))


def slope(x: Tensor) -> Tensor:
    """Magnitude of the differences to the next voxels of (N, C, ...), of the same size."""
    axes = range(2, x.dim())
    steps = (torch.diff(x, dim=axis, append=x.narrow(axis, -1, 1)) for axis in axes)
    # the root has no slope of its own at zero
    return (sum(step.square() for step in steps) + 1e-6).sqrt()
