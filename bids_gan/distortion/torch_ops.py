"""Pieces of the field estimators, differentiable."""

from __future__ import annotations

import numpy as np


def tensor(array: np.ndarray):
    """Contiguous float32 tensor of an array."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def rotation(vector):
    """Rotation matrix of a rotation vector, differentiable."""
    import torch

    x, y, z = vector
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    return torch.linalg.matrix_exp(cross)


def sample_last_axis(image, shift):
    """Linear interpolation at ``index + shift`` voxels along the last axis, edges repeated."""
    import torch

    n = image.shape[-1]
    where = (torch.arange(n, dtype=shift.dtype) + shift).clamp(0, n - 1)
    below = where.detach().floor().clamp(0, n - 2).long()
    low, high = image.gather(-1, below), image.gather(-1, below + 1)
    return low + (where - below) * (high - low)
