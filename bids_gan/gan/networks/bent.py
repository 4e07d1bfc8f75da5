"""Label volumes from vectors."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.progressive import VectorFeatures, voxel_layer
from bids_gan.gan.networks.template import BentTemplate
from bids_gan.gan.networks.unet import depth_to_space


class BentLabels(nn.Module):
    """From a vector to the logits of a label volume.

    Parameters
    ----------
    latent : int
        Length of the vector.
    widths : sequence of int
        Channels of the features of 4, 8, 16 ... voxels a side, see
        :class:`~bids_gan.gan.networks.progressive.VectorFeatures`.
    classes : int
    dimensions : {3, 2}
    knots : int
        See :class:`~bids_gan.gan.networks.template.BentTemplate`.

    Attributes
    ----------
    size : tuple of int
        Of a label volume.
    template : BentTemplate
        What all label volumes have in common.
    """

    def __init__(
        self,
        latent: int,
        widths: tuple[int, ...],
        classes: int,
        dimensions: int = 3,
        knots: int = 4,
    ):
        super().__init__()
        side = 2 ** (len(widths) + 1)
        self.size = (side,) * dimensions
        self.features = VectorFeatures(latent, widths, dimensions)
        self.change = voxel_layer(widths[-1], classes, dimensions)
        self.template = BentTemplate(latent, classes, side, dimensions, knots)

    def forward(self, z: Tensor) -> Tensor:
        """Logits (N, classes, ...) of vectors (N, latent)."""
        features, _ = self.features(z)
        return self.template(z, depth_to_space(self.change(features)))
