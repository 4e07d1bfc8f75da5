"""Paired image-to-image translation: regression with a small conditional adversarial term.

pix2pix (Isola et al. 2017, https://arxiv.org/abs/1611.07004) with the weights turned round: the
image term leads and the discriminator only keeps the texture honest. The generator has two output
channels, value and log-scale, so that each voxel comes with its expected error.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import slice_profile, split_heads
from bids_gan.gan.losses.adversarial import fool, judge
from bids_gan.gan.losses.image import agreement, laplace_nll, masked_l1
from bids_gan.gan.losses.terms import Example, Term, weighted
from bids_gan.gan.methods.parts import adam, adamw, panels


class Paired:
    """Train a generator on aligned pairs.

    Parameters
    ----------
    generator : module
        Maps (N, C, D, H, W) to two channels.
    discriminator : module, optional
        Sees first input channel and image; without it this is plain regression.
    adversarial_weight : float
    adversarial_start : int
        Step from which the discriminator takes part.
    learning_rate : float
    extra : sequence of Term
        Losses beside L1, which has weight one.
    value_range : str
        Of the image, see :func:`bids_gan.gan.heads.split_heads`.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None = None,
        adversarial_weight: float = 0.0,
        adversarial_start: int = 0,
        learning_rate: float = 5e-4,
        extra: Sequence[Term] = (),
        value_range: str = "fraction",
    ):
        self.extra = extra
        self.value_range = value_range
        self.generator = generator
        self.discriminator = discriminator
        self.adversarial_weight = adversarial_weight
        self.adversarial_start = adversarial_start
        self.modules = {"generator": generator}
        self.optimisers = {"generator": adamw(generator, learning_rate)}
        if discriminator is not None:
            self.modules["discriminator"] = discriminator
            self.optimisers |= adam({"discriminator": discriminator}, 4e-4)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of each module; the loop sums and descends them.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, ...); ``target``, ``mask`` and ``supervised`` (N, 1, ...), the last
            where the target was measured; ``thickness`` (N,) of its slices in voxels. What
            extra losses look at besides, see :class:`~bids_gan.gan.losses.terms.Example`.
        step : int
        """
        mask, measured = batch["mask"], batch["supervised"]
        value, log_scale = split_heads(self.generator(batch["input"]), self.value_range)
        seen = slice_profile(value, batch["thickness"])
        error = (seen - batch["target"]).abs()
        terms = {
            "l1": masked_l1(seen, batch["target"], measured),
            # the scale head learns from the error and must not excuse it
            "scale": 0.05 * laplace_nll(error.detach(), log_scale, measured),
        }
        example = Example.of(batch, seen, batch["input"][:, :1], measured, batch["target"])
        terms |= weighted(self.extra, example)
        result = {"generator": terms}
        if self.discriminator is not None and step >= self.adversarial_start:
            condition = batch["input"][:, :1]
            fake = torch.cat([condition, seen * mask], dim=1)
            real = torch.cat([condition, batch["target"] * mask], dim=1)
            terms["adversarial"] = self.adversarial_weight * fool(self.discriminator, fake)
            result["discriminator"] = {"critic": judge(self.discriminator, real, fake)}
        return result

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers of a whole volume: masked L1 and Pearson correlation."""
        value, _ = split_heads(network(batch["input"]), self.value_range)
        value = slice_profile(value, batch["thickness"])
        return agreement(value, batch["target"], batch["supervised"])

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First volume of a batch: input, target and output, (D, H, W) each."""
        value, _ = split_heads(network(batch["input"][:1]), self.value_range)
        return panels(batch, value)
