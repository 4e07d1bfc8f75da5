"""Overlap and cross-entropy of label volumes, also through a frozen network (L7 of Yi et al.)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.losses.filters import inside
from bids_gan.gan.losses.image import masked_mean
from bids_gan.gan.losses.precision import full_precision

#: voxels of a class in the batch from which its overlap counts
FEWEST = 100


@full_precision
def dice_cross_entropy(logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Soft Dice loss (mean over classes) plus cross-entropy.

    Parameters
    ----------
    logits : (N, C, ...) tensor
        Of slices or volumes.
    labels : (N, ...) int64 tensor
    mask : (N, 1, ...) tensor, optional
        Where to compare; everywhere when omitted.
    """
    if mask is None:
        mask = torch.ones_like(logits[:, :1])
    logits = inside(logits, mask)
    probabilities = logits.softmax(dim=1) * mask
    onehot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype) * mask
    axes = (0, *range(2, logits.dim()))
    overlap = 2 * (probabilities * onehot).sum(axes)
    total = (probabilities + onehot).sum(axes)
    # a class of a few voxels says more about where the patch was cut than about the network
    present = onehot.sum(axes) > FEWEST
    dice = torch.where(present, 1 - (overlap + 1) / (total + 1), 0.0)
    entropy = F.cross_entropy(logits, labels, reduction="none").unsqueeze(1)
    return dice.sum() / present.sum().clamp_min(1) + masked_mean(entropy, mask)


class SegmentationLoss(nn.Module):
    """Whether a frozen segmenter finds in the image the tissues that are there.

    Smallest, not zero, where the segmenter is sure and right. The network must know the contrast
    of the image, or it will be turned into one that the network knows.

    Parameters
    ----------
    network : module
        Maps an image to one channel of logits a class.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @full_precision
    def forward(self, image: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """Dice and cross-entropy of (N, 1, ...) images against (N, ...) labels inside a mask."""
        network = self.network.to(image.device)
        return dice_cross_entropy(network(inside(image, mask)), labels, mask)


def dice_scores(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Dice coefficient of each class, NaN where neither volume holds it."""
    scores = []
    for label in range(classes):
        a, b = predicted == label, labels == label
        total = a.sum() + b.sum()
        scores.append(2 * (a & b).sum() / total if total else torch.tensor(torch.nan))
    return torch.stack([torch.as_tensor(s, dtype=torch.float32) for s in scores])
