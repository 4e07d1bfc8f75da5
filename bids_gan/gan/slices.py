"""Volumes through networks of two dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: slices that are computed at once
CHUNK = 16


def with_neighbours(x: Tensor, neighbours: int) -> Tensor:
    """Give each slice those next to it as further channels ("2.5D").

    Parameters
    ----------
    x : (N, C, I, J, K) tensor
        Slices lie along the last axis.
    neighbours : int
        n slices to either side; beyond the volume its last slice is repeated.

    Returns
    -------
    (N, (2n + 1) C, I, J, K) tensor
        All channels of slice k itself first, then those of k - 1, k + 1, k - 2 and so on: the
        first channel of an image stays the first.
    """
    depth = x.shape[-1]
    places = torch.arange(depth, device=x.device)
    offsets = sorted(range(-neighbours, neighbours + 1), key=abs)
    return torch.cat([x[..., (places + o).clamp(0, depth - 1)] for o in offsets], dim=1)


def slice_by_slice(
    network: Callable[[Tensor], Tensor], x: Tensor, neighbours: int = 0, chunk: int = CHUNK
) -> Tensor:
    """Run a network of two dimensions over the slices of a volume.

    Parameters
    ----------
    network : callable
        Maps (B, (2n + 1) C, I, J) to (B, C', I, J).
    x : (N, C, I, J, K) tensor
        Slices lie along the last axis: axial ones of a RAS+ volume.
    neighbours : int
        See :func:`with_neighbours`.
    chunk : int
        Slices that are computed at once.

    Returns
    -------
    (N, C', I, J, K) tensor
    """
    n, depth = x.shape[0], x.shape[-1]
    # (N, C, I, J, K) -> (N K, C, I, J)
    slices = with_neighbours(x, neighbours).movedim(-1, 1).flatten(0, 1)
    images = torch.cat([network(part) for part in slices.split(chunk)])
    return images.unflatten(0, (n, depth)).movedim(1, -1)
