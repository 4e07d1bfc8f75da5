"""Where in the template a voxel lies, as input of a generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def grid_coordinates(shape: tuple[int, int, int]) -> Tensor:
    """Voxel coordinates (D, H, W, 3) of a whole volume."""
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def position_channels(coordinates: Tensor, voxel_to_mni: np.ndarray) -> Tensor:
    """Where in the template each voxel lies: |x|, y, z in units of 100 mm, channels first.

    Parameters
    ----------
    coordinates : (D, H, W, 3) tensor
        Voxel coordinates.
    voxel_to_mni : (4, 4) array

    Notes
    -----
    A patch does not show where it was cut; the affine to the template tells, roughly. Left and
    right share their values, so mirroring the head is a fair augmentation.
    """
    matrix = torch.as_tensor(voxel_to_mni, dtype=torch.float32)
    world = coordinates @ matrix[:3, :3].T + matrix[:3, 3]
    world = torch.cat([world[..., :1].abs(), world[..., 1:]], dim=-1) / 100
    return world.movedim(-1, 0)
