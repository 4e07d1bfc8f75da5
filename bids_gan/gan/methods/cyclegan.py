"""CycleGAN (Zhu et al. 2017, https://arxiv.org/abs/1703.10593): the unpaired baseline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import WITHOUT_PENALTY, fool, judge, known_objective
from bids_gan.gan.losses.cycle import cycle_consistency
from bids_gan.gan.losses.image import masked_l1
from bids_gan.gan.losses.terms import Example, Term, weighted
from bids_gan.gan.methods.parts import ValidatedInTiles, adam


class ReplayPool:
    """The last generated images, some of which the discriminator sees again.

    Parameters
    ----------
    capacity : int

    Notes
    -----
    Draws from torch's global generator, which the training loop seeds at every step; with the
    images in the checkpoint a resumed run chooses as an undisturbed one would.
    """

    def __init__(self, capacity: int = 50):
        self.capacity = capacity
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor) -> Tensor:
        """Exchange about half of (N, C, D, H, W) for older images once the pool is full."""
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.capacity:
            self.images.append(image.cpu())
            return image
        place = int(torch.randint(2 * self.capacity, ()))
        if place >= self.capacity:
            return image
        old, self.images[place] = self.images[place], image.cpu()
        return old.to(image)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Return the images, oldest places first."""
        return {"images": list(self.images)}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Take up the images of :meth:`state_dict`."""
        self.images = list(state["images"])


class Translators(nn.Module):
    """Both generators as one module; called, it translates in the direction that is wanted."""

    def __init__(self, there: nn.Module, back: nn.Module):
        super().__init__()
        self.there = there
        self.back = back

    def forward(self, x: Tensor) -> Tensor:
        """Source to target."""
        return self.there(x)


class CycleGAN(ValidatedInTiles):
    """Two generators, two discriminators, cycle consistency; no pairs.

    Parameters
    ----------
    there, back : module
        Generators from source to target and from target to source, one channel each.
    critic_target, critic_source : module
        Discriminators of one channel.
    value_range, source_range : str
        Of target and source, see :data:`bids_gan.gan.heads.RANGES`.
    tile : int
        Edge of the training patches, at which validation runs as well.
    cycle_weight, identity_weight : float
        Against the adversarial terms; the identity term (an image of the target passes
        unchanged) makes sense only where both contrasts have one scale.
    pool : int
        Capacity of each replay pool.
    objective : {'least-squares', 'cross-entropy', 'hinge'}
        Of the discriminators; the second is the logarithmic loss of the first GANs.
    learning_rate : float
    extra : sequence of Term
        Losses of the translation from source to target that need no pair, beside cycle
        consistency, which then has weight one.

    Notes
    -----
    The objective is divided by `cycle_weight`: Adam does not see the scale, the limit on the norm
    of the gradient does. Each loss term reads either images of the source or images of the target,
    never one of each: which source belongs to which target has no influence.
    """

    def __init__(
        self,
        there: nn.Module,
        back: nn.Module,
        critic_target: nn.Module,
        critic_source: nn.Module,
        value_range: str = "fraction",
        tile: int = 48,
        cycle_weight: float = 10.0,
        identity_weight: float = 0.0,
        pool: int = 50,
        objective: str = "least-squares",
        learning_rate: float = 2e-4,
        extra: Sequence[Term] = (),
        source_range: str = "positive",
    ):
        self.extra = extra
        self.value_range = value_range
        self.source_range = source_range
        self.tile = tile
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.objective = known_objective(objective, WITHOUT_PENALTY)
        self.modules = {
            "generator": Translators(there, back),
            "critic_target": critic_target,
            "critic_source": critic_source,
        }
        self.optimisers = adam(self.modules, learning_rate)
        self.state = {"pool_target": ReplayPool(pool), "pool_source": ReplayPool(pool)}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of generators and discriminators.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, p, p, p), of which the first channel is read, with its ``mask``;
            ``target`` (N, 1, p, p, p) of other people and places with its ``target_mask``.
            What else an extra loss looks at is of the input, see
            :class:`~bids_gan.gan.losses.terms.Example`.
        step : int
        """
        generators = self.modules["generator"]
        x_mask, y_mask = batch["mask"], batch["target_mask"]
        x, y = batch["input"][:, :1] * x_mask, batch["target"] * y_mask

        def to_target(image: Tensor, mask: Tensor) -> Tensor:
            return bounded(generators.there(image), self.value_range) * mask

        def to_source(image: Tensor, mask: Tensor) -> Tensor:
            return bounded(generators.back(image), self.source_range) * mask

        fake_y, fake_x = to_target(x, x_mask), to_source(y, y_mask)
        terms = {
            "cycle_source": cycle_consistency(to_source(fake_y, x_mask), x, x_mask),
            "cycle_target": cycle_consistency(to_target(fake_x, y_mask), y, y_mask),
            "fool_target": self._fool("critic_target", fake_y),
            "fool_source": self._fool("critic_source", fake_x),
        }
        terms |= weighted(self.extra, Example.of(batch, fake_y, x, x_mask))
        if self.identity_weight:
            share = self.identity_weight / self.cycle_weight
            terms["identity_target"] = share * masked_l1(to_target(y, y_mask), y, y_mask)
            terms["identity_source"] = share * masked_l1(to_source(x, x_mask), x, x_mask)
        return {
            "generator": terms,
            "critic_target": {"judge_target": self._judge("target", y, fake_y)},
            "critic_source": {"judge_source": self._judge("source", x, fake_x)},
        }

    def _fool(self, name: str, fake: Tensor) -> Tensor:
        return fool(self.modules[name], fake, self.objective) / self.cycle_weight

    def _judge(self, side: str, real: Tensor, fake: Tensor) -> Tensor:
        critic, pool = self.modules[f"critic_{side}"], self.state[f"pool_{side}"]
        return judge(critic, real, pool.exchange(fake.detach()), self.objective)
