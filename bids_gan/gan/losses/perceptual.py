"""Difference of images as a frozen network sees them (Johnson et al. 2016).

https://arxiv.org/abs/1603.08155 took a network for photographs; here it is the encoder of our own
anatomy network, so nothing is downloaded and the features know brains.
"""

from __future__ import annotations

from torch import Tensor, nn


class PerceptualLoss(nn.Module):
    """Mean absolute difference of encoder features, summed over levels.

    Parameters
    ----------
    network : module
        With ``encode(x) -> list of features``, finest first; it is frozen.
    levels : int
        How many of the finest levels count.
    """

    def __init__(self, network: nn.Module, levels: int = 3):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.levels = levels

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Loss of two (N, 1, D, H, W) images inside a mask; zero for equal images."""
        network = self.network.to(prediction.device)
        seen, wanted = (
            network.encode(image * mask)[: self.levels] for image in (prediction, target)
        )
        return sum((a - b).float().abs().mean() for a, b in zip(seen, wanted, strict=True))
