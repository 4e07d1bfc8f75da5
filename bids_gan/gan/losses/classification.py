"""Whether an image is taken for its class (L13 of Yi et al. 2018)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.precision import full_precision


@full_precision
def class_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of an image's class; its minimum, zero, is certainty that is right.

    Parameters
    ----------
    logits : (N, K) or (N, K, ...) tensor
        Of the image or of its patches, over which they are averaged: a discriminator's second head
        (StarGAN, https://arxiv.org/abs/1711.09020) or a classifier.
    classes : (N,) int64 tensor
    """
    return _per_image(logits, classes).mean()


class ClassificationLoss(nn.Module):
    """Cross-entropy of the class that a frozen classifier finds.

    Parameters
    ----------
    network : module
        Maps an image to (N, K) or (N, K, ...) logits.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @full_precision
    def forward(self, image: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
        """Loss of (N, C, ...) images against (N,) classes; without a voxel there is no class."""
        losses = _per_image(self.network.to(image.device)(inside(image, mask)), classes)
        present = mask.flatten(1).any(dim=1)
        return inside(losses, present).sum() / present.sum().clamp_min(1)


def _per_image(logits: Tensor, classes: Tensor) -> Tensor:
    logits = logits.flatten(2).mean(-1) if logits.dim() > 2 else logits
    return F.cross_entropy(logits, classes, reduction="none")
