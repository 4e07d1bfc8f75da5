"""A generator that begins as the identity: it learns what to change."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """Add what a network makes to the image that it was given.

    Parameters
    ----------
    network : module
        Maps (N, C, ...) to (N, 1, ...); its last convolution is set to zero.

    Notes
    -----
    For source and target of one kind and one scale. What an unpaired method may not do, exchange
    bright and dark, is then far from where it begins.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        *_, last = (m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d)))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, ...), the image being the first channel, to (N, 1, ...)."""
        return x[:, :1] + self.network(x)
