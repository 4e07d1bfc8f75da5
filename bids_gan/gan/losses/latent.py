"""Latent codes held near a standard normal law."""

from __future__ import annotations

from torch import Tensor


def code_energy(mean: Tensor) -> Tensor:
    """Mean square of a code: the divergence for variance 1 up to a factor, as UNIT has it.

    Liu et al. 2017, https://arxiv.org/abs/1703.00848.
    """
    return mean.float().square().mean()
