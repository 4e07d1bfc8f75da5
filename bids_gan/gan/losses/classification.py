"""Whether an image is taken for its class."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def class_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of an image's class from (N, K) logits and (N,) indices."""
    return F.cross_entropy(logits.float(), classes)
