"""StarGAN (Choi et al. 2018, https://arxiv.org/abs/1711.09020): one generator, all contrasts."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty
from bids_gan.gan.losses.classification import class_cross_entropy
from bids_gan.gan.losses.image import agreement, masked_l1
from bids_gan.gan.methods.parts import Turns, adam, label_channels, opinion


class StarGAN:
    """One generator that is told which contrast to make, one discriminator that names contrasts.

    Parameters
    ----------
    generator : module
        Maps (N, 1 + K, ...), the image and a channel a contrast, to one raw channel. It must pad
        with zeros: with reflection a constant channel stays constant, instance normalisation
        subtracts it, and the label has no influence.
    discriminator : ClassifyingDiscriminator
        Of one channel and K classes.
    contrasts : int
        K.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    cycle_weight, class_weight, penalty_weight : float
        Of the way back, of the contrast's name, and of the gradient penalty, against the
        Wasserstein terms.
    critic_steps : int
        Steps of the discriminator for one of the generator.
    learning_rate : float

    Notes
    -----
    The objective of the generator is divided by `cycle_weight`, that of the discriminator by
    `penalty_weight`: Adam does not see the scale, the limit on the norm of the gradient does.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        contrasts: int,
        value_range: str = "positive",
        cycle_weight: float = 10.0,
        class_weight: float = 1.0,
        penalty_weight: float = 10.0,
        critic_steps: int = 5,
        learning_rate: float = 1e-4,
    ):
        self.contrasts = contrasts
        self.value_range = value_range
        self.cycle_weight = cycle_weight
        self.class_weight = class_weight
        self.penalty_weight = penalty_weight
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
        generator, critic = self.modules["generator"], self.modules["discriminator"]
        mask, wanted = batch["mask"], batch["wanted"]
        image = batch["input"] * mask
        result = {}
        if self.turns.generator_moves():
            fake = self.translate(generator, image, wanted, mask)
            back = self.translate(generator, fake, batch["contrast"], mask)
            scores, logits = opinion(critic, fake)
            named = self.class_weight * class_cross_entropy(logits, wanted)
            result["generator"] = {
                "cycle": masked_l1(back, image, mask),
                "fool": generator_loss(scores, "wasserstein") / self.cycle_weight,
                "fake_class": named / self.cycle_weight,
            }
        else:
            with torch.no_grad():
                fake = self.translate(generator, image, wanted, mask)
        return result | {"discriminator": self._judge(image, fake.detach(), batch["contrast"])}

    def _judge(self, image: Tensor, fake: Tensor, contrast: Tensor) -> dict[str, Tensor]:
        critic = self.modules["discriminator"]
        scores, logits = critic(image)
        judged = discriminator_loss(scores, critic(fake)[0], "wasserstein")
        named = self.class_weight * class_cross_entropy(logits, contrast)
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
