"""Intensities as soft levels: what a convolution alone hardly tells apart."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: of compressed intensities: six times white matter, brighter than fluid in T2w
HIGHEST = 0.85


def compressed(x: Tensor) -> Tensor:
    """Bring intensities from 0 on to [0, 1), so that levels are finest where tissues are."""
    positive = x.clamp_min(0)
    return positive / (1 + positive)


class IntensityLevels(nn.Module):
    """How near each voxel is to each of several intensities, a channel a level.

    Triangular weights, one at a level and zero at its neighbours; below the lowest and above the
    highest they are those of that level. The sum over the levels is one.

    Parameters
    ----------
    levels : int
        Two at least; evenly spaced.
    highest : float
        The last of them; the first is zero.

    Notes
    -----
    Images of two scanners may differ in nothing but how bright a tissue is. The intensities of
    one tissue lie between those of others, so no linear function of a patch says which they are,
    and a discriminator of strided convolutions has to find it in steps it does not get.
    """

    def __init__(self, levels: int, highest: float = 2.0):
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels = {levels}: two at least")
        self.register_buffer("centres", torch.linspace(0, highest, levels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C * levels, ...) of an image (N, C, ...)."""
        centres = self.centres.view(-1, *(1 for _ in x.shape[2:]))
        x = x.clamp(0, float(centres.max())).unsqueeze(2)
        near = 1 - (x - centres).abs() / (centres[1] - centres[0])
        return near.clamp_min(0).flatten(1, 2)
