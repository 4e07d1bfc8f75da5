"""Single precision for losses, whatever precision the training runs in."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor


def full_precision(function: Callable) -> Callable:
    """Compute in float32 also inside autocast; float64 stays float64.

    Sums over a volume of bfloat16 have two digits, and a difference of two of them has none.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        args = [_promote(value) for value in args]
        kwargs = {name: _promote(value) for name, value in kwargs.items()}
        tensors = (v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
        with torch.autocast(next(tensors).device.type, enabled=False):
            return function(*args, **kwargs)

    return wrapped


def _promote(value):
    short = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if short else value
