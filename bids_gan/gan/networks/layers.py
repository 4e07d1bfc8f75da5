"""Layers of two or three dimensions, and sizes that a network can divide."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Layers:
    """Classes of one number of dimensions.

    Attributes
    ----------
    convolution, batch_norm, instance_norm, reflection_pad, average_pool : type
    """

    convolution: type[nn.Module]
    batch_norm: type[nn.Module]
    instance_norm: type[nn.Module]
    reflection_pad: type[nn.Module]
    average_pool: type[nn.Module]


_LAYERS = {
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.ReflectionPad2d, nn.AvgPool2d),
    3: Layers(nn.Conv3d, nn.BatchNorm3d, nn.InstanceNorm3d, nn.ReflectionPad3d, nn.AvgPool3d),
}
BATCH_NORMS = tuple(layers.batch_norm for layers in _LAYERS.values())
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def layers_of(dimensions: int) -> Layers:
    """Layers for slices (2) or volumes (3).

    Raises
    ------
    ValueError
    """
    if dimensions not in _LAYERS:
        raise ValueError(f"dimensions = {dimensions}: 2 (slices) or 3 (volumes)")
    return _LAYERS[dimensions]


def channels_last(module: nn.Module) -> nn.Module:
    """Store the weights as processors convolve fastest, in place."""
    most = max((p.dim() for p in module.parameters()), default=0)
    if most in _CHANNELS_LAST:
        module.to(memory_format=_CHANNELS_LAST[most])
    return module


def pad_to_multiple(x: Tensor, multiple: int, mode: str = "constant") -> Tensor:
    """Extend the spatial axes of (N, C, ...) at their ends to a multiple."""
    pad = [end for n in reversed(x.shape[2:]) for end in (0, -n % multiple)]
    return F.pad(x, pad, mode=mode)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """A channel a class, (N, classes, ...) float, of labels (N, ...) int64."""
    return F.one_hot(labels, classes).movedim(-1, 1).float()


def crop_to(x: Tensor, size: torch.Size) -> Tensor:
    """Cut the spatial axes of (N, C, ...) at their ends to a size."""
    return x[(..., *(slice(n) for n in size))]
