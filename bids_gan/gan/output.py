"""From the raw output of a generator to the value of a contrast."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: what bounds a contrast: FA lies in [0, 1], uptake and signal are positive, HU are free
ACTIVATIONS = {"sigmoid": Tensor.sigmoid, "softplus": F.softplus, "linear": lambda raw: raw}


def bounded(raw: Tensor, activation: str) -> Tensor:
    """Apply one of :data:`ACTIVATIONS` in single precision.

    Raises
    ------
    ValueError
        When there is no such activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r}: accepted are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation](raw.float())
