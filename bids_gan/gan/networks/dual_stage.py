"""Generator in two stages: tissue from noise, an image from the tissue."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.layers import one_hot
from bids_gan.gan.networks.progressive import ProgressiveGenerator
from bids_gan.gan.networks.unet import SpaceToDepthUNet


class DualStageGenerator(nn.Module):
    """Label volumes grown from vectors, and their images.

    Parameters
    ----------
    latent, widths
        Of the first stage, see
        :class:`~bids_gan.gan.networks.progressive.ProgressiveGenerator`.
    classes : int
        Tissues, the first of which is the outside.
    image_widths : sequence of int
        Of the second stage, see :class:`~bids_gan.gan.networks.unet.SpaceToDepthUNet`.
    dimensions : {3, 2}

    Attributes
    ----------
    shape : ProgressiveGenerator
        Maps (N, latent) to logits of the classes.
    appearance : SpaceToDepthUNet
        Maps classes, one-hot, to two channels: value and logarithm of its scale.
    """

    def __init__(
        self,
        latent: int = 64,
        widths: tuple[int, ...] = (64, 32, 16, 8),
        classes: int = 8,
        image_widths: tuple[int, ...] = (16, 32),
        dimensions: int = 3,
    ):
        super().__init__()
        self.latent = latent
        self.classes = classes
        self.shape = ProgressiveGenerator(latent, widths, classes, dimensions, gain=4.0)
        self.appearance = SpaceToDepthUNet(classes, 2, image_widths, dimensions)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, ...) int64 of vectors (N, latent), and raw images (N, 2, ...) of them."""
        labels = self.shape(z).argmax(1)
        return labels, self.appearance(one_hot(labels, self.classes))
