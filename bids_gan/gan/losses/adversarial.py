"""Adversarial losses (L1 of Yi et al. 2018): what discriminator and generator play for.

Least squares (Mao et al. 2017, https://arxiv.org/abs/1611.04076) is what the methods use where
they do not say otherwise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.losses.precision import full_precision

#: objective -> loss of a discriminator from its scores of real and of generated patches
_DISCRIMINATOR = {
    "least-squares": lambda real, fake: 0.5 * ((real - 1).square().mean() + fake.square().mean()),
    "cross-entropy": lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    "hinge": lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
}
#: objective -> loss of a generator from the scores of what it made
_GENERATOR = {
    "least-squares": lambda fake: (fake - 1).square().mean(),
    "cross-entropy": lambda fake: F.softplus(-fake).mean(),
    "hinge": lambda fake: -fake.mean(),
    "wasserstein": lambda fake: -fake.mean(),
}
OBJECTIVES = tuple(_GENERATOR)
#: those that do without a gradient penalty
WITHOUT_PENALTY = OBJECTIVES[:3]


@full_precision
def discriminator_loss(real: Tensor, fake: Tensor, objective: str = "least-squares") -> Tensor:
    """Push scores of real patches up and of generated ones down.

    Parameters
    ----------
    real, fake : tensor
        Scores without a final nonlinearity, of any shape.
    objective : {'least-squares', 'cross-entropy', 'hinge', 'wasserstein'}
        The last needs :func:`gradient_penalty` beside it.
    """
    return _DISCRIMINATOR[known_objective(objective)](real, fake)


@full_precision
def generator_loss(fake: Tensor, objective: str = "least-squares") -> Tensor:
    """Push scores of generated patches up; the cross-entropy is the non-saturating one."""
    return _GENERATOR[known_objective(objective)](fake)


def known_objective(objective: str, accepted: tuple[str, ...] = OBJECTIVES) -> str:
    """Return an objective that is among the accepted ones.

    Raises
    ------
    ValueError
    """
    if objective not in accepted:
        raise ValueError(f"objective {objective!r}: accepted are {', '.join(accepted)}")
    return objective


@full_precision
def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """Mean of ``(|∇D(x)| - 1)²`` at points x between real and generated images.

    Keeps the critic of the Wasserstein objective 1-Lipschitz (Gulrajani et al. 2017,
    https://arxiv.org/abs/1704.00028, where its weight is 10). Zero for a critic of slope one.
    """
    share = torch.rand(len(real), *(1 for _ in real.shape[1:]), device=real.device).to(real.dtype)
    point = torch.lerp(fake.detach(), real.detach(), share).requires_grad_()
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
