"""From a network to the image of a whole volume: at once, in cubes, or slice by slice."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.slices import slice_by_slice

#: share of a tile's edge that it has in common with the next
OVERLAP = 0.25
#: layout in which processors convolve fastest, by the dimensions of a tensor
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulation would be slower than fp32."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_precision(request: str, device: str = "cpu") -> str:
    """Turn ``auto`` into bf16 where the processor has it (every CUDA device does), else fp32."""
    if request == "auto":
        return "bf16" if device != "cpu" or has_bf16() else "fp32"
    return request


def tiled(
    network: Callable[[Tensor], Tensor], x: Tensor, tile: int, overlap: float = OVERLAP
) -> Tensor:
    """Run a network over overlapping cubes (squares of a slice) and blend the results.

    For networks whose output depends on the field of view (instance normalisation), which are run
    at the size at which they were trained, and for volumes that do not fit into memory.

    Parameters
    ----------
    network : callable
    x : (N, C, ...) tensor
        Zero where there is nothing; cubes without content are not computed, their output is zero.
    tile : int
        Edge of the cubes in voxels.
    overlap : float
        Share of the edge that neighbours have in common at least, from 0 to below 1.

    Returns
    -------
    (N, C', ...) float32 tensor
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap = {overlap}: from 0 to below 1, a share of the tile's edge")
    size = x.shape[2:]
    x = F.pad(x, [end for n in reversed(size) for end in (0, max(tile - n, 0))])
    weight = blending_weight(tile, len(size)).to(x.device)
    starts = (tile_starts(n, tile, overlap) for n in x.shape[2:])
    boxes = [(..., *(slice(a, a + tile) for a in corner)) for corner in itertools.product(*starts)]
    filled = [box for box in boxes if x[box].any()]
    total, weights = None, torch.zeros(x.shape[2:], device=x.device)
    for box in filled or boxes[:1]:  # one at least tells how many channels there are
        y = network(x[box]).float()
        if total is None:
            total = y.new_zeros(*y.shape[:2], *x.shape[2:])
        if filled:
            total[box] += y * weight
            weights[box] += weight
    total /= torch.where(weights > 0, weights, 1)
    return total[(..., *(slice(n) for n in size))]


def blending_weight(tile: int, dimensions: int = 3) -> Tensor:
    """Gaussian weight of a tile's voxels, its standard deviation an eighth of the edge.

    As in nnU-Net (Isensee et al. 2021, https://doi.org/10.1038/s41592-020-01008-z): what lies at
    the border of a tile saw the least of its surroundings and counts least.
    """
    places = torch.arange(tile) - (tile - 1) / 2
    ramp = torch.exp(-0.5 * (places / (tile / 8)) ** 2)
    return functools.reduce(torch.mul, torch.meshgrid(*[ramp] * dimensions, indexing="ij"))


def tile_starts(length: int, tile: int, overlap: float = OVERLAP) -> list[int]:
    """First voxels of the evenly spaced tiles that cover an axis."""
    stride = max(int(tile * (1 - overlap)), 1)
    count = -(-max(length - tile, 0) // stride) + 1
    return [round(a) for a in np.linspace(0, max(length - tile, 0), count)]


def infer(
    network: nn.Module,
    x: Tensor,
    tile: int | None = None,
    overlap: float = OVERLAP,
    neighbours: int = 0,
) -> Tensor:
    """Image of a volume that is on the network's device.

    Parameters
    ----------
    network : module
        Of volumes; or of slices, to which it is applied slice by slice.
    x : (N, C, I, J, K) tensor
    tile : int, optional
        Edge of the cubes (of the squares of a slice), see :func:`tiled`; at once when omitted.
    overlap : float
        Of the tiles.
    neighbours : int
        For a network of slices, how many to either side are channels of its input, see
        :func:`bids_gan.gan.slices.with_neighbours`.

    Returns
    -------
    (N, C', I, J, K) float32 tensor
    """

    def run(part: Tensor) -> Tensor:
        return network(part.contiguous(memory_format=CHANNELS_LAST[part.dim()])).float()

    def image(part: Tensor) -> Tensor:
        return tiled(run, part, tile, overlap) if tile else run(part)

    if dimensions_of(network) == 2:
        return slice_by_slice(image, x, neighbours)
    return image(x)


def dimensions_of(network: nn.Module) -> int:
    """Whether the kernels of a network have two or three dimensions."""
    return max((p.dim() for p in network.parameters()), default=5) - 2


def run_network(
    network: nn.Module,
    volume: np.ndarray,
    precision: str,
    device: str = "cpu",
    tile: int | None = None,
    overlap: float = OVERLAP,
    neighbours: int = 0,
) -> Tensor:
    """Run a network over a whole volume.

    Parameters
    ----------
    network : module
    volume : (C, I, J, K) array
    precision : {'auto', 'bf16', 'fp32'}
        See :func:`choose_precision`.
    device : str
    tile, overlap, neighbours
        See :func:`infer`.

    Returns
    -------
    (C', I, J, K) float32 tensor on the CPU
    """
    dtype = torch.bfloat16 if choose_precision(precision, device) == "bf16" else torch.float32
    layout = CHANNELS_LAST[dimensions_of(network) + 2]
    network = network.to(device=device, dtype=dtype, memory_format=layout)
    x = torch.as_tensor(volume, dtype=dtype, device=device).unsqueeze(0)
    with torch.inference_mode():
        return infer(network, x, tile, overlap, neighbours).squeeze(0).cpu()
