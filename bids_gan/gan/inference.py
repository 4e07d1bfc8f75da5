"""Whole-volume inference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulation would be slower than fp32."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_precision(request: str, device: str = "cpu") -> str:
    """Turn ``auto`` into bf16 where the processor has it (every CUDA device does), else fp32."""
    if request == "auto":
        return "bf16" if device != "cpu" or has_bf16() else "fp32"
    return request


def run_network(
    network: nn.Module, volume: np.ndarray, precision: str, device: str = "cpu"
) -> Tensor:
    """Run a network over a whole volume.

    Parameters
    ----------
    network : module
    volume : (C, I, J, K) array
    precision : {'auto', 'bf16', 'fp32'}
        See :func:`choose_precision`.
    device : str

    Returns
    -------
    (C', I, J, K) float32 tensor on the CPU
    """
    dtype = torch.bfloat16 if choose_precision(precision, device) == "bf16" else torch.float32
    network = network.to(device=device, dtype=dtype, memory_format=torch.channels_last_3d)
    x = torch.as_tensor(volume, dtype=dtype, device=device).unsqueeze(0)
    with torch.inference_mode():
        return network(x.contiguous(memory_format=torch.channels_last_3d)).squeeze(0).float().cpu()
