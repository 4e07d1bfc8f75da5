"""Vector fields of low order: moves of a head, warps of gradients."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import prod

import torch
from torch import Tensor

from bids_gan.gan.losses.precision import full_precision

#: how little a polynomial may count where hardly anything is to be fitted, share of the voxels
_RIDGE = 1e-4


@full_precision
def low_order(vectors: Tensor, weight: Tensor, degree: int = 3) -> Tensor:
    """Polynomials of low degree that fit vectors best where they count, everywhere.

    Parameters
    ----------
    vectors : (N, C, D, H, W) tensor
    weight : (N, 1, D, H, W) tensor
        How much a voxel counts; beyond, values stay within the range of the vectors there.
    degree : int
        Largest sum of the exponents; 1 is an affine map, of which moves are a part.

    Returns
    -------
    (N, C, D, H, W) tensor
    """
    terms = _polynomials(vectors.shape[2:], degree, vectors.device)
    counted = weight.flatten(2) * terms
    ridge = _RIDGE * terms.shape[1] * torch.eye(len(terms), device=terms.device)
    values = vectors.flatten(2).transpose(1, 2)
    share = torch.linalg.solve(counted @ terms.T + ridge, counted @ values)
    fitted = (share.transpose(1, 2) @ terms).view_as(vectors)
    limit = (vectors.abs() * (weight > 0)).amax(dim=(2, 3, 4), keepdim=True)
    return fitted.maximum(-limit).minimum(limit)


def _polynomials(shape: torch.Size, degree: int, device: torch.device) -> Tensor:
    """Products of coordinates from -1 to 1, (terms, voxels)."""
    axes = [torch.linspace(-1, 1, n, device=device) for n in shape]
    grid = [axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")]
    powers = (p for n in range(1, degree + 1) for p in combinations_with_replacement(grid, n))
    return torch.stack([torch.ones_like(grid[0]), *map(prod, powers)])


@full_precision
def rigid_across(shift: Tensor, weight: Tensor, spacing: float) -> Tensor:
    """Move of a rigid body, all of which but one translation two axes tell.

    Parameters
    ----------
    shift : (N, 2, D, H, W) tensor
        Displacement in mm along the second and third axis.
    weight : (N, 2, D, H, W) tensor
        How much it counts.
    spacing : float
        Voxel size in mm.

    Returns
    -------
    (N, 3, D, H, W) tensor
        Small rotation and translation that fit best, in mm. There is none along the first axis.
    """
    x, y, z = _centred(shift.shape[2:], spacing, shift.device)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    # rotation about the three axes, translation along two
    rows = torch.stack([
        torch.stack([zero, z, -y, zero, zero]),
        torch.stack([-z, zero, x, one, zero]),
        torch.stack([y, -x, zero, zero, one]),
    ])  # fmt: skip
    told = rows[1:]
    counted = weight.flatten(2)[:, :, None] * told
    gram = torch.einsum("nkav,kbv->nab", counted, told)
    right = torch.einsum("nkav,nkv->na", counted, shift.flatten(2))
    ridge = torch.diag_embed(1e-4 * gram.diagonal(dim1=1, dim2=2) + 1e-6)
    move = torch.linalg.solve(gram + ridge, right)
    return torch.einsum("na,kav->nkv", move, rows).reshape(shift.shape[0], 3, *shift.shape[2:])


def _centred(shape: torch.Size, spacing: float, device: torch.device) -> list[Tensor]:
    """Coordinates in mm from the middle of the grid, flat."""
    axes = [spacing * (torch.arange(n, device=device) - (n - 1) / 2) for n in shape]
    return [axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")]
