"""Least-squares adversarial loss (Mao et al. 2017, https://arxiv.org/abs/1611.04076)."""

from __future__ import annotations

from torch import Tensor, nn


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Push scores of real patches to 1 and of generated ones to 0."""
    return 0.5 * ((real - 1).square().mean() + fake.square().mean())


def generator_loss(fake: Tensor) -> Tensor:
    """Push scores of generated patches to 1."""
    return (fake - 1).square().mean()


def fool(critic: nn.Module, fake: Tensor) -> Tensor:
    """Loss of a generator whose image a discriminator judges; the discriminator learns nothing."""
    critic.requires_grad_(False)
    loss = generator_loss(critic(fake).float())
    critic.requires_grad_(True)
    return loss


def judge(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Loss of a discriminator; the generator of `fake` learns nothing."""
    return discriminator_loss(critic(real).float(), critic(fake.detach()).float())
