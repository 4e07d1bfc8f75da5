"""Generator that grows: from noise to an image of 4 voxels a side, then 8, 16 and so on."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.equalised import Equalised, PixelNorm
from bids_gan.gan.networks.layers import layers_of
from bids_gan.gan.networks.template import BentTemplate
from bids_gan.gan.networks.unet import depth_to_space

SMALLEST = 4


def stage_and_share(progress: float) -> tuple[int, float]:
    """Resolution that is worked on, and the share with which it has faded in.

    Whole numbers s are stage s alone, share 1; s - 1 + a is stage s with share a over stage s - 1.
    """
    stage = math.ceil(progress)
    return stage, 1.0 - (stage - progress)


def double(x: Tensor) -> Tensor:
    """Twice the size, by nearest neighbour."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """Half the size, by the mean of neighbours."""
    return F.interpolate(x, scale_factor=0.5, mode="area")


class VectorFeatures(nn.Module):
    """From a vector to features of 2, 4, 8 ... places a side, equalised and pixel-normalised.

    Parameters
    ----------
    latent : int
        Length of the vector.
    widths : sequence of int
        Channels of each size.
    dimensions : {3, 2}
    """

    def __init__(self, latent: int, widths: tuple[int, ...], dimensions: int = 3):
        super().__init__()
        convolution = layers_of(dimensions).convolution

        def block(inputs: int, outputs: int) -> list[nn.Module]:
            layer = Equalised(convolution(inputs, outputs, 3, padding=1))
            return [layer, nn.LeakyReLU(0.2), PixelNorm()]

        coarse = (widths[0], *(SMALLEST // 2,) * dimensions)
        self.first = nn.Sequential(
            PixelNorm(),
            Equalised(nn.Linear(latent, math.prod(coarse)), gain=math.sqrt(2) / 4),
            nn.Unflatten(1, coarse),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *block(widths[0], widths[0]),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*block(a, b), *block(b, b)) for a, b in itertools.pairwise(widths)
        )

    def forward(self, z: Tensor, stage: int | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of a stage (the last when omitted), and those of the stage before it."""
        x, before = self.first(z), None
        for block in self.blocks[:stage]:
            before, x = x, block(double(x))
        return x, before


def voxel_layer(width: int, channels: int, dimensions: int) -> Equalised:
    """From features to the channels of the 2 × 2 × 2 voxels of each place, alike at first.

    So an image begins without a checkerboard (Aitken et al. 2017,
    https://arxiv.org/abs/1707.02937), which a critic would find before it finds anything else.
    """
    block = 2**dimensions
    layer = Equalised(layers_of(dimensions).convolution(width, block * channels, 1), gain=1.0)
    weight = layer.layer.weight.data
    weight.copy_(weight[::block].repeat_interleave(block, dim=0))
    return layer


class ProgressiveGenerator(nn.Module):
    """From a vector to an image that is as large as it has grown.

    Parameters
    ----------
    latent : int
        Length of the vector.
    widths : sequence of int
        Channels of the features of images of 4, 8, 16 ... voxels a side.
    dimensions : {3, 2}

    Attributes
    ----------
    progress : () tensor
        How far it has grown, see :func:`stage_and_share`; at first to the end.
    template : BentTemplate
        Of the last size; what the layers draw is a change of it.

    Notes
    -----
    Features have half the resolution of the image, whose 2 × 2 × 2 voxels each come from channels
    of one place: at 64 voxels a side a step costs an eighth of what it would otherwise.
    """

    def __init__(
        self,
        latent: int = 128,
        widths: tuple[int, ...] = (128, 128, 64, 32, 16),
        dimensions: int = 3,
    ):
        super().__init__()
        self.latent = latent
        self.features = VectorFeatures(latent, widths, dimensions)
        self.to_image = nn.ModuleList(voxel_layer(width, 1, dimensions) for width in widths)
        size = SMALLEST * 2 ** (len(widths) - 1)
        self.template = BentTemplate(latent, 1, size, dimensions)
        self.register_buffer("progress", torch.tensor(float(len(widths) - 1)))

    def forward(self, z: Tensor) -> Tensor:
        """Raw image (N, 1, ...) of vectors (N, latent), of the size grown to."""
        stage, share = stage_and_share(float(self.progress))
        x, before = self.features(z, stage)
        image = self._image(z, x, stage)
        if share == 1.0:
            return image
        return torch.lerp(double(self._image(z, before, stage - 1)), image, share)

    def _image(self, z: Tensor, features: Tensor, stage: int) -> Tensor:
        return self.template(z, depth_to_space(self.to_image[stage](features)))
