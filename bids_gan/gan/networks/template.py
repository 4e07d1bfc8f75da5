"""What all images have in common, changed and bent by a vector."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.networks.equalised import Equalised

#: values of the template by its weights, so that it is sure after some hundred steps
SURE = 5.0
#: how far a bend goes at first: of the entries of the matrix, and of the knots in half widths
AFFINE, KNOT = 0.15, 0.1


class BentTemplate(nn.Module):
    """A template, to which a change is added, and that is then resampled as a vector says.

    Parameters
    ----------
    latent : int
        Length of the vector.
    channels : int
    size : int
        Voxels a side.
    dimensions : {3, 2}
    knots : int
        Places a side at which a displacement is known, between which it is interpolated.
    width : int
        Of the layer between the vector and the bend.

    Attributes
    ----------
    weights : (1, channels, ...) parameter
        The template over `SURE`, zero at first.

    Notes
    -----
    Heads are alike and lie differently. Layers of convolutions need thousands of steps to turn and
    to stretch what they draw; an affine map and a few knots do it from the first step on
    (conditional templates: Dalca et al. 2019, https://arxiv.org/abs/1908.02738).
    """

    def __init__(
        self,
        latent: int,
        channels: int,
        size: int,
        dimensions: int = 3,
        knots: int = 4,
        width: int = 128,
    ):
        super().__init__()
        self.knots = (knots,) * dimensions
        self.affine = (dimensions, dimensions + 1)
        self.parts = [math.prod(self.affine), dimensions * math.prod(self.knots)]
        self.bend = nn.Sequential(
            Equalised(nn.Linear(latent, width)),
            nn.LeakyReLU(0.2),
            Equalised(nn.Linear(width, sum(self.parts)), gain=0.3),
        )
        self.weights = nn.Parameter(torch.zeros(1, channels, *(size,) * dimensions))

    def forward(self, z: Tensor, change: Tensor) -> Tensor:
        """Images of vectors (N, latent) and of changes (N, channels, ...), which give the size.

        Of a smaller size is the mean of the template's voxels.
        """
        size = change.shape[2:]
        image = change + SURE * F.interpolate(self.weights, size=size, mode="area")
        places = self.places(z, size)
        return F.grid_sample(image, places, padding_mode="border", align_corners=False)

    def places(self, z: Tensor, size: tuple[int, ...]) -> Tensor:
        """Where each voxel takes its value from, (N, ..., dimensions), from -1 to 1."""
        affine, knots = self.bend(z).split(self.parts, dim=1)
        matrix = torch.eye(*self.affine, device=z.device)
        matrix = matrix + AFFINE * affine.unflatten(1, self.affine)
        moved = F.interpolate(
            KNOT * knots.unflatten(1, (self.affine[0], *self.knots)),
            size=size,
            mode="trilinear" if self.affine[0] == 3 else "bilinear",
            align_corners=True,
        )
        whole = F.affine_grid(matrix, [len(z), 1, *size], align_corners=False)
        return whole + moved.movedim(1, -1)
