"""Least-squares adversarial loss (Mao et al. 2017, https://arxiv.org/abs/1611.04076)."""

from __future__ import annotations

from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Push scores of real patches to 1 and of generated ones to 0."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def generator_loss(fake: Tensor) -> Tensor:
    """Push scores of generated patches to 1."""
    return (fake - 1).square().mean()
