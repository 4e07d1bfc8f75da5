"""Generator in two stages: tissue from noise, an image from the tissue."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.bent import BentLabels
from bids_gan.gan.networks.layers import one_hot
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.networks.vector_encoder import VectorEncoder


class DualStageGenerator(nn.Module):
    """Label volumes of vectors, and their images.

    Parameters
    ----------
    latent, widths
        Of the first stage, see :class:`~bids_gan.gan.networks.bent.BentLabels`.
    classes : int
        Tissues, the first of which is the outside.
    image_widths : sequence of int
        Of the second stage, see :class:`~bids_gan.gan.networks.unet.SpaceToDepthUNet`.
    dimensions : {3, 2}

    Attributes
    ----------
    shape : BentLabels
        Maps (N, latent) to logits of the classes.
    encoder : VectorEncoder
        Maps classes, one-hot, to the vectors that could have made them: means (N, latent) and
        logarithms of variances behind them. Only learning needs it.
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
        self.shape = BentLabels(latent, widths, classes, dimensions)
        size = self.shape.size[0]
        self.encoder = VectorEncoder(classes, size, 2 * latent, widths[::-1], dimensions)
        self.appearance = SpaceToDepthUNet(classes, 2, image_widths, dimensions)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, ...) int64 of vectors (N, latent), and raw images (N, 2, ...) of them."""
        labels = self.shape(z).argmax(1)
        return labels, self.appearance(one_hot(labels, self.classes))
