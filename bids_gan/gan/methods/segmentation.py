"""Supervised segmentation: the anatomy network is trained with this."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.losses.segmentation import dice_cross_entropy, dice_scores
from bids_gan.gan.methods.parts import adamw


class Segmentation:
    """Train a network to name the tissue of each voxel.

    Parameters
    ----------
    network : module
        Maps (N, 1, D, H, W) to one channel a class.
    learning_rate : float
    """

    def __init__(self, network: nn.Module, learning_rate: float = 1e-3):
        self.modules = {"generator": network}
        self.optimisers = {"generator": adamw(network, learning_rate)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms; ``batch`` holds ``input`` and integer ``labels``."""
        logits = self.modules["generator"](batch["input"]).float()
        return {"generator": {"dice_ce": dice_cross_entropy(logits, batch["labels"])}}

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Mean Dice over classes and Dice of everything that is not background."""
        logits = network(batch["input"])
        predicted = logits.argmax(1)
        classes = dice_scores(predicted, batch["labels"], logits.shape[1])
        brain = dice_scores((predicted > 0).long(), (batch["labels"] > 0).long(), 2)[1]
        return {"dice": float(classes[1:].nanmean()), "brain": float(brain)}

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First volume of a batch: input, true and predicted classes, (D, H, W) each."""
        return {
            "input": batch["input"][0, 0].float(),
            "target": batch["labels"][0],
            "output": network(batch["input"][:1]).argmax(1)[0],
        }
