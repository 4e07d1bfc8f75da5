"""Label volumes from vectors: what all have in common, changed and bent."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.equalised import Equalised
from bids_gan.gan.networks.progressive import VectorFeatures, voxel_layer
from bids_gan.gan.networks.unet import depth_to_space

#: logits of the template by its weights, so that it is sure after some hundred steps
SURE = 5.0
#: how far a bend goes at first: of the entries of the matrix, and of the knots in half widths
AFFINE, KNOT = 0.15, 0.1


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
        Places a side at which a displacement is known, between which it is interpolated.
    width : int
        Of the layer between the vector and the bend.

    Attributes
    ----------
    template : (1, classes, ...) parameter
        What all label volumes have in common, before they are changed and bent.

    Notes
    -----
    Heads are alike and lie differently. Layers of convolutions need thousands of steps to turn and
    to stretch what they draw; an affine map and a few knots do it from the first step on
    (conditional templates: Dalca et al. 2019, https://arxiv.org/abs/1908.02738).
    """

    def __init__(
        self,
        latent: int,
        widths: tuple[int, ...],
        classes: int,
        dimensions: int = 3,
        knots: int = 4,
        width: int = 128,
    ):
        super().__init__()
        self.size = (2 ** (len(widths) + 1),) * dimensions
        self.features = VectorFeatures(latent, widths, dimensions)
        self.change = voxel_layer(widths[-1], classes, dimensions)
        self.knots = (knots,) * dimensions
        self.affine = (dimensions, dimensions + 1)
        self.parts = [math.prod(self.affine), dimensions * math.prod(self.knots)]
        self.bend = nn.Sequential(
            Equalised(nn.Linear(latent, width)),
            nn.LeakyReLU(0.2),
            Equalised(nn.Linear(width, sum(self.parts)), gain=0.3),
        )
        self.template = nn.Parameter(torch.zeros(1, classes, *self.size))

    def forward(self, z: Tensor) -> Tensor:
        """Logits (N, classes, ...) of vectors (N, latent)."""
        features, _ = self.features(z)
        logits = depth_to_space(self.change(features)) + SURE * self.template
        return F.grid_sample(logits, self._places(z), padding_mode="border", align_corners=False)

    def _places(self, z: Tensor) -> Tensor:
        """Where each voxel takes its logits from, (N, ..., dimensions), from -1 to 1."""
        affine, knots = self.bend(z).split(self.parts, dim=1)
        matrix = torch.eye(*self.affine, device=z.device)
        matrix = matrix + AFFINE * affine.unflatten(1, self.affine)
        moved = F.interpolate(
            KNOT * knots.unflatten(1, (self.affine[0], *self.knots)),
            size=self.size,
            mode="trilinear" if self.affine[0] == 3 else "bilinear",
            align_corners=True,
        )
        whole = F.affine_grid(matrix, [len(z), 1, *self.size], align_corners=False)
        return whole + moved.movedim(1, -1)
