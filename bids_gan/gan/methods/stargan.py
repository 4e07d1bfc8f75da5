"""StarGAN (Choi et al. 2018, https://arxiv.org/abs/1711.09020): one generator, all contrasts."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import (
    WITHOUT_PENALTY,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    known_objective,
)
from bids_gan.gan.losses.classification import class_cross_entropy
from bids_gan.gan.losses.image import agreement, masked_l1
from bids_gan.gan.methods.parts import Turns, adam, label_channels, opinion


class StarGAN:
    """One generator that is told which contrast to make, one discriminator that names contrasts.

    Parameters
    ----------
    generator : module
        Maps (N, 1 + K, ...), the image and a channel a contrast, to one raw channel. If it has
        instance normalisation it must pad with zeros: with reflection a constant channel stays
        constant, the normalisation subtracts it, and the label has no influence.
    discriminator : ClassifyingDiscriminator or HistogramDiscriminator
        Of one channel and K classes; gives one score of realism a patch, or one for each contrast.
    contrasts : int
        K.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    cycle_weight, class_weight, identity_weight, penalty_weight : float
        Of the way back, of the contrast's name, of an image being told to become what it is, and
        of the gradient penalty, against the adversarial terms.
    cycle_start : int
        Step from which the way back counts. A generator that begins flat can return from any
        exchange of tissues as well as from the right one, so the discriminator must come first.
    objective : {'wasserstein', 'least-squares', 'cross-entropy', 'hinge'}
        Adversarial; only the first, that of the publication, has a gradient penalty.
    critic_steps : int
        Steps of the discriminator for one of the generator.
    learning_rate : float

    Notes
    -----
    The objective of the generator is divided by `cycle_weight`, that of a discriminator with a
    penalty by `penalty_weight`: Adam does not see the scale, the limit on the norm of the gradient
    does.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        contrasts: int,
        value_range: str = "positive",
        cycle_weight: float = 10.0,
        class_weight: float = 1.0,
        identity_weight: float = 0.0,
        penalty_weight: float = 10.0,
        cycle_start: int = 0,
        objective: str = "wasserstein",
        critic_steps: int = 5,
        learning_rate: float = 1e-4,
    ):
        self.contrasts = contrasts
        self.value_range = value_range
        self.cycle_weight = cycle_weight
        self.class_weight = class_weight
        self.identity_weight = identity_weight
        self.penalty_weight = penalty_weight
        self.cycle_start = cycle_start
        self.objective = known_objective(objective)
        self.modules = {"generator": generator, "discriminator": discriminator}
        self.optimisers = adam(self.modules, learning_rate)
        self.turns = Turns(critic_steps)
        self.state = {"turns": self.turns}

    def translate(self, network: nn.Module, image: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
        """Turn images (N, 1, ...) into the contrasts (N,) that are wanted, inside a mask."""
        told = torch.cat([image, label_channels(wanted, self.contrasts, image)], dim=1)
        return bounded(network(told), self.value_range) * mask

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of the discriminator and, in its turn, of the generator.

        Parameters
        ----------
        batch : dict
            ``input`` (N, 1, ...), ``mask`` (N, 1, ...), ``contrast`` and ``wanted`` (N,): the
            indices of what each image is and of what it is to be.
        step : int
        """
        generator = self.modules["generator"]
        mask, wanted = batch["mask"], batch["wanted"]
        image = batch["input"] * mask
        result = {}
        if self.turns.generator_moves():
            fake = self.translate(generator, image, wanted, mask)
            result["generator"] = self._teach(batch, image, fake, step)
        else:
            with torch.no_grad():
                fake = self.translate(generator, image, wanted, mask)
        return result | {"discriminator": self._judge(batch, image, fake.detach())}

    def _teach(
        self, batch: dict[str, Tensor], image: Tensor, fake: Tensor, step: int
    ) -> dict[str, Tensor]:
        generator, mask, contrast = self.modules["generator"], batch["mask"], batch["contrast"]
        scores, logits = opinion(self.modules["discriminator"], fake)
        judged = generator_loss(_of(scores, batch["wanted"]), self.objective)
        named = self.class_weight * class_cross_entropy(logits, batch["wanted"])
        terms = {"fool": judged / self.cycle_weight, "fake_class": named / self.cycle_weight}
        if step >= self.cycle_start:
            terms["cycle"] = masked_l1(
                self.translate(generator, fake, contrast, mask), image, mask
            )
        if self.identity_weight:
            same = masked_l1(self.translate(generator, image, contrast, mask), image, mask)
            terms["identity"] = self.identity_weight / self.cycle_weight * same
        return terms

    def _judge(self, batch: dict[str, Tensor], image: Tensor, fake: Tensor) -> dict[str, Tensor]:
        critic, contrast = self.modules["discriminator"], batch["contrast"]
        scores, logits = critic(image)
        fake_scores = _of(critic(fake)[0], batch["wanted"])
        judged = discriminator_loss(_of(scores, contrast), fake_scores, self.objective)
        named = self.class_weight * class_cross_entropy(logits, contrast)
        if self.objective in WITHOUT_PENALTY:
            return {"judge": judged, "real_class": named}
        return {
            "judge": judged / self.penalty_weight,
            "real_class": named / self.penalty_weight,
            "penalty": gradient_penalty(lambda x: critic(x)[0], image, fake),
        }

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers over all ordered pairs of contrasts.

        Parameters
        ----------
        network : module
        batch : dict
            ``contrasts`` (N, K, ...) and ``mask`` (N, 1, ...).

        Returns
        -------
        dict
            Mean ``l1`` and correlation ``r``; ``unchanged_l1`` of the input taken for the output;
            ``label_effect``, how much two labels differ in what they make of one image.
        """
        mask = batch["mask"]
        images = batch["contrasts"].split(1, dim=1)
        made = {
            (a, b): self.translate(network, images[a], mask.new_full((len(mask),), b).long(), mask)
            for a, b in itertools.product(range(self.contrasts), repeat=2)
        }
        pairs = list(itertools.permutations(range(self.contrasts), 2))
        found = [agreement(made[a, b], images[b], mask) for a, b in pairs]
        unchanged = [masked_l1(images[a], images[b], mask) for a, b in pairs]
        effect = [
            masked_l1(made[a, b], made[a, c], mask)
            for a in range(self.contrasts)
            for b, c in pairs
        ]
        return {
            "l1": sum(numbers["l1"] for numbers in found) / len(found),
            "r": sum(numbers["r"] for numbers in found) / len(found),
            "unchanged_l1": float(torch.stack(unchanged).mean()),
            "label_effect": float(torch.stack(effect).mean()),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First contrast of the first volume, and what is made of it for each label."""
        image, mask = batch["contrasts"][:1, :1], batch["mask"][:1]
        made = {
            f"as contrast {index}": self.translate(
                network, image, mask.new_tensor([index]).long(), mask
            )
            for index in range(self.contrasts)
        }
        return {"input": image[0, 0]} | {name: volume[0, 0] for name, volume in made.items()}


def _of(scores: Tensor, contrast: Tensor) -> Tensor:
    """Scores (N, 1, ...) of realism as the contrast of each image, of those for every contrast."""
    if scores.shape[1] == 1:
        return scores
    return scores[torch.arange(len(scores)), contrast].unsqueeze(1)
