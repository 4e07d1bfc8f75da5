"""Supervised classification of images: what the classification loss looks through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.losses.classification import class_cross_entropy
from bids_gan.gan.methods.parts import adamw


class Classification:
    """Train a network to say of which class an image is.

    Parameters
    ----------
    network : module
        Maps (N, 1, ...) to logits (N, K).
    learning_rate : float
    """

    def __init__(self, network: nn.Module, learning_rate: float = 1e-3):
        self.modules = {"generator": network}
        self.optimisers = {"generator": adamw(network, learning_rate)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss term; ``batch`` holds ``input`` and ``classes`` (N,) int64."""
        logits = self.modules["generator"](batch["input"])
        return {"generator": {"cross_entropy": class_cross_entropy(logits, batch["classes"])}}

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Share of the images whose class is found."""
        found = network(batch["input"]).argmax(1) == batch["classes"]
        return {"accuracy": float(found.float().mean())}

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First image of a batch."""
        return {"input": batch["input"][0, 0].float()}
