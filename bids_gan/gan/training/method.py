"""What the training loop asks of a method."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Method(Protocol):
    """A way to train networks; one file each in :mod:`bids_gan.gan.methods`.

    Attributes
    ----------
    modules : dict of str to module
        ``generator`` is the one that is averaged, validated and released.
    optimisers : dict of str to optimiser
        By the names of `modules`.
    state : dict, optional
        Whatever else a resumed run must find again (a replay pool), by name: objects with
        ``state_dict()``, which gives tensors on the CPU, numbers, and lists and dicts of them, and
        ``load_state_dict(state)``.

    Notes
    -----
    Random numbers (dropout, noise of a reparametrisation) are drawn from torch's global generator,
    which the loop seeds at every step by seed, step and process: a resumed run draws the same.
    """

    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Loss terms of each module; the loop sums, differentiates and descends them."""

    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers of a volume."""

    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Optional: volumes (D, H, W), or slices (D, H), to draw side by side.

        For example ``input``, ``target`` and ``output``; whole numbers are drawn as classes.
        """
