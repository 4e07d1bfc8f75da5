"""What the two output channels of a generator mean: a value in its range, and its log-scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: range of the value -> function that holds it there
RANGES = {
    "fraction": torch.sigmoid,
    "positive": F.softplus,
    "real": lambda x: x,
}


def bounded(raw: Tensor, value_range: str) -> Tensor:
    """Hold raw output (N, C, ...) in its range."""
    return RANGES[value_range](raw.float())


def split_heads(output: Tensor, value_range: str = "fraction") -> tuple[Tensor, Tensor]:
    """Turn raw generator output into value and logarithm of its Laplace scale.

    Parameters
    ----------
    output : (N, 2, ...) tensor
    value_range : {'fraction', 'positive', 'real'}
        In [0, 1], at least 0, or any number.
    """
    value, log_scale = output.float().chunk(2, dim=1)
    return bounded(value, value_range), log_scale.clamp(-7.0, 1.0)


def slice_profile(image: Tensor, thickness: Tensor) -> Tensor:
    """Average over slices along the last axis, as a thick-slice acquisition does.

    Parameters
    ----------
    image : (N, 1, D, H, W) tensor
    thickness : (N,) int tensor
        Voxels that a slice covers; 1 leaves the image as it is.
    """
    if int(thickness.max()) == 1:
        return image
    return torch.cat(
        [_profile(one, int(n)) for one, n in zip(image.split(1), thickness, strict=True)]
    )


def _profile(image: Tensor, n: int) -> Tensor:
    if n == 1:
        return image
    weights = torch.ones(n + 1 - n % 2, device=image.device)
    if n % 2 == 0:  # an even slice covers half of the voxels at its ends
        weights[[0, -1]] = 0.5
    half = len(weights) // 2
    padded = F.pad(image, (half, half, 0, 0, 0, 0), mode="replicate")
    return F.conv3d(padded, (weights / n).reshape(1, 1, 1, 1, -1))
