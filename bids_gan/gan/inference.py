"""Whole-volume inference."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulation would be slower than fp32."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_precision(request: str, device: str = "cpu") -> str:
    """Turn ``auto`` into bf16 where the processor has it (every CUDA device does), else fp32."""
    if request == "auto":
        return "bf16" if device != "cpu" or has_bf16() else "fp32"
    return request


def tiled(network: Callable[[Tensor], Tensor], x: Tensor, tile: int) -> Tensor:
    """Run a network over overlapping cubes (squares of a slice) and blend the results.

    For networks whose output depends on the field of view (instance normalisation): they are run
    at the size at which they were trained.

    Parameters
    ----------
    network : callable
    x : (N, C, ...) tensor
        Zero where there is nothing; cubes without content are not computed.
    tile : int
        Edge of the cubes in voxels; neighbours overlap by a quarter and more.

    Returns
    -------
    (N, C', ...) float32 tensor
    """
    size = x.shape[2:]
    x = F.pad(x, [end for n in reversed(size) for end in (0, max(tile - n, 0))])
    ramp = torch.hann_window(tile + 2, periodic=False, device=x.device)[1:-1]
    weight = functools.reduce(torch.multiply, torch.meshgrid(*[ramp] * len(size), indexing="ij"))
    total, weights = None, torch.zeros(x.shape[2:], device=x.device)
    for corner in itertools.product(*(_starts(n, tile) for n in x.shape[2:])):
        box = (..., *(slice(a, a + tile) for a in corner))
        if x[box].any():
            y = network(x[box]).float()
            if total is None:
                total = y.new_zeros(*y.shape[:2], *x.shape[2:])
            total[box] += y * weight
            weights[box] += weight
    if total is None:
        raise ValueError("the volume is empty")
    return (total / weights.clamp_min(1e-6))[(..., *(slice(n) for n in size))]


def _starts(length: int, tile: int) -> list[int]:
    """First voxels of the cubes that cover an axis."""
    count = -(-(length - tile) // (3 * tile // 4)) + 1
    return [round(a) for a in np.linspace(0, length - tile, count)]


def run_network(
    network: nn.Module,
    volume: np.ndarray,
    precision: str,
    device: str = "cpu",
    tile: int | None = None,
) -> Tensor:
    """Run a network over a whole volume.

    Parameters
    ----------
    network : module
    volume : (C, I, J, K) array
    precision : {'auto', 'bf16', 'fp32'}
        See :func:`choose_precision`.
    device : str
    tile : int, optional
        Edge of the cubes of :func:`tiled`; at once when omitted.

    Returns
    -------
    (C', I, J, K) float32 tensor on the CPU
    """
    dtype = torch.bfloat16 if choose_precision(precision, device) == "bf16" else torch.float32
    network = network.to(device=device, dtype=dtype, memory_format=torch.channels_last_3d)
    x = torch.as_tensor(volume, dtype=dtype, device=device).unsqueeze(0)
    with torch.inference_mode():
        if tile:
            return tiled(network, x, tile).squeeze(0).cpu()
        return network(x.contiguous(memory_format=torch.channels_last_3d)).squeeze(0).float().cpu()
