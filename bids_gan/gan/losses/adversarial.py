"""Adversarial losses: least squares (Mao et al. 2017, https://arxiv.org/abs/1611.04076), which the
methods use where they do not say otherwise, and Wasserstein's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: objective -> loss of a discriminator from its scores of real and of generated patches
_DISCRIMINATOR = {
    "least-squares": lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
}
#: objective -> loss of a generator from the scores of what it made
_GENERATOR = {
    "least-squares": lambda fake: (fake - 1).square().mean(),
    "wasserstein": lambda fake: -fake.mean(),
}


def discriminator_loss(real: Tensor, fake: Tensor, objective: str = "least-squares") -> Tensor:
    """Push scores of real patches up and of generated ones down."""
    return _DISCRIMINATOR[objective](real.float(), fake.float())


def generator_loss(fake: Tensor, objective: str = "least-squares") -> Tensor:
    """Push scores of generated patches up."""
    return _GENERATOR[objective](fake.float())


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Mean of ``(|∇D(x)| - 1)²`` at points x between real and generated images.

    Keeps the critic of the Wasserstein objective 1-Lipschitz (Gulrajani et al. 2017,
    https://arxiv.org/abs/1704.00028, where its weight is 10). In single precision: the slope is
    a difference of nearly equal numbers.
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        share = torch.rand(len(real), *(1 for _ in real.shape[1:]), device=real.device)
        point = torch.lerp(fake, real, share).requires_grad_()
        (slope,) = torch.autograd.grad(critic(point).sum(), point, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def fool(critic: nn.Module, fake: Tensor, objective: str = "least-squares") -> Tensor:
    """Loss of a generator whose image a discriminator judges; the discriminator learns nothing."""
    critic.requires_grad_(False)
    loss = generator_loss(critic(fake), objective)
    critic.requires_grad_(True)
    return loss


def judge(
    critic: nn.Module, real: Tensor, fake: Tensor, objective: str = "least-squares"
) -> Tensor:
    """Loss of a discriminator; the generator of `fake` learns nothing."""
    return discriminator_loss(critic(real), critic(fake.detach()), objective)
