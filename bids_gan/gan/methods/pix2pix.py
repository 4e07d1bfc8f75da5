"""pix2pix (Isola et al. 2017, https://arxiv.org/abs/1611.07004): the paired baseline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded, slice_profile
from bids_gan.gan.losses.adversarial import WITHOUT_PENALTY, fool, judge, known_objective
from bids_gan.gan.losses.image import masked_l1
from bids_gan.gan.losses.terms import Example, Term, weighted
from bids_gan.gan.methods.parts import ValidatedInTiles, adam


class Pix2Pix(ValidatedInTiles):
    """Conditional adversarial training with an L1 term, as published.

    Parameters
    ----------
    generator : module
        Maps (N, C, D, H, W) to one raw channel; the first C channels of the input are given to it.
    discriminator : module
        Sees the first input channel and the image.
    value_range : str
        Of the image, see :data:`bids_gan.gan.heads.RANGES`.
    tile : int
        Edge of the training patches, at which validation runs as well.
    channels : int
        C.
    l1_weight : float
        Weight of L1 against the adversarial term.
    objective : {'least-squares', 'cross-entropy', 'hinge'}
        Of the discriminator; the second is the published one.
    learning_rate : float
    extra : sequence of Term
        Losses beside L1, which then has weight one.

    Notes
    -----
    The objective is divided by `l1_weight`: Adam does not see the scale, the limit on the norm of
    the gradient does. The learning rate follows the training loop's schedule.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        value_range: str = "fraction",
        tile: int = 48,
        channels: int = 1,
        l1_weight: float = 100.0,
        objective: str = "least-squares",
        learning_rate: float = 2e-4,
        extra: Sequence[Term] = (),
    ):
        self.extra = extra
        self.value_range = value_range
        self.tile = tile
        self.channels = channels
        self.l1_weight = l1_weight
        self.objective = known_objective(objective, WITHOUT_PENALTY)
        self.modules = {"generator": generator, "discriminator": discriminator}
        self.optimisers = adam(self.modules, learning_rate)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of generator and discriminator.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, ...); ``target``, ``mask`` and ``supervised`` (N, 1, ...), the last
            where the target was measured; ``thickness`` (N,) of its slices in voxels. What
            extra losses look at besides, see :class:`~bids_gan.gan.losses.terms.Example`.
        step : int
        """
        critic, mask = self.modules["discriminator"], batch["mask"]
        condition = batch["input"][:, :1]
        raw = self.modules["generator"](batch["input"][:, : self.channels])
        image = slice_profile(bounded(raw, self.value_range), batch["thickness"])
        fake = torch.cat([condition, image * mask], dim=1)
        real = torch.cat([condition, batch["target"] * mask], dim=1)
        example = Example.of(batch, image, condition, batch["supervised"], batch["target"])
        return {
            "generator": {
                "l1": masked_l1(image, batch["target"], batch["supervised"]),
                "adversarial": fool(critic, fake, self.objective) / self.l1_weight,
                **weighted(self.extra, example),
            },
            "discriminator": {"critic": judge(critic, real, fake, self.objective)},
        }
