"""Overlap and cross-entropy for label volumes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: voxels of a class in the batch from which its overlap counts
FEWEST = 100


def dice_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Soft Dice loss (mean over classes) plus cross-entropy.

    Parameters
    ----------
    logits : (N, C, ...) tensor
    labels : (N, ...) int64 tensor
    """
    probabilities = logits.softmax(dim=1)
    onehot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    axes = (0, *range(2, logits.dim()))
    overlap = 2 * (probabilities * onehot).sum(axes)
    total = (probabilities + onehot).sum(axes)
    # a class of a few voxels says more about where the patch was cut than about the network
    present = onehot.sum(axes) > FEWEST
    dice = 1 - (overlap + 1) / (total + 1)
    return dice[present].mean() + F.cross_entropy(logits, labels)


def dice_scores(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Dice coefficient of each class, NaN where neither volume holds it."""
    scores = []
    for label in range(classes):
        a, b = predicted == label, labels == label
        total = a.sum() + b.sum()
        scores.append(2 * (a & b).sum() / total if total else torch.tensor(torch.nan))
    return torch.stack([torch.as_tensor(s, dtype=torch.float32) for s in scores])
