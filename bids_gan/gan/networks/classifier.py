"""A discriminator that also says which contrast an image has."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from bids_gan.gan.networks.layers import layers_of


class ClassifyingDiscriminator(nn.Module):
    """Strided convolutions with two heads: realism of patches, contrast of the image.

    Parameters
    ----------
    in_channels : int
    classes : int
    base : int
        Channels of the first layer; each of the next has twice as many.
    layers : int
        Stride-2 convolutions; 6 are published, for images of 128.
    dimensions : {3, 2}

    Notes
    -----
    As StarGAN's (Choi et al. 2018, https://arxiv.org/abs/1711.09020), but the class comes from the
    mean over the image and a linear layer, so that images of any size are welcome.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        base: int = 32,
        layers: int = 6,
        dimensions: int = 3,
    ):
        super().__init__()
        convolution = layers_of(dimensions).convolution
        widths = [in_channels, *(base * 2**i for i in range(layers))]
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(convolution(a, b, 4, 2, 1), nn.LeakyReLU(0.01))
                for a, b in itertools.pairwise(widths)
            )
        )
        self.realism = convolution(widths[-1], 1, 3, padding=1, bias=False)
        self.contrast = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of patches (N, 1, ...) and logits of the classes (N, classes)."""
        features = self.trunk(x)
        return self.realism(features), self.contrast(features.flatten(2).mean(2))
