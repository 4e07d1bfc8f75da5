"""CollaGAN (Lee et al. 2019, https://arxiv.org/abs/1901.09764): the missing from any others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import discriminator_loss, generator_loss
from bids_gan.gan.losses.classification import class_cross_entropy
from bids_gan.gan.losses.image import masked_l1
from bids_gan.gan.losses.structure import dissimilarity
from bids_gan.gan.methods.parts import adam, label_channels, opinion


class CollaGAN:
    """One generator for all 2^K - 2 patterns of missing contrasts, with multiple cycles.

    Parameters
    ----------
    generator : CollaborativeUNet
    discriminator : ClassifyingDiscriminator
        Of one channel and K classes.
    contrasts : int
        K.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    image_weight, cycle_weight, similarity_weight : float
        Of the wanted image's L1, and of L1 and SSIM of the cycles.
    adversarial_weight, class_weight : float
    adversarial_start : int
        Step from which the generator listens to the discriminator, which until then learns from
        real images alone to name the contrasts.
    data_range : float
        Of the images, for SSIM.
    learning_rate : float

    Notes
    -----
    The wanted image takes its place among those given, and each of these is made again from the
    others; one pass makes all of them. The objective is divided by `image_weight`: Adam does not
    see the scale, the limit on the norm of the gradient does.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        contrasts: int,
        value_range: str = "positive",
        image_weight: float = 10.0,
        cycle_weight: float = 1.0,
        similarity_weight: float = 10.0,
        adversarial_weight: float = 1.0,
        class_weight: float = 1.0,
        adversarial_start: int = 0,
        data_range: float = 1.0,
        learning_rate: float = 1e-3,
    ):
        self.contrasts = contrasts
        self.value_range = value_range
        self.cycle_weight = cycle_weight / image_weight
        self.similarity_weight = similarity_weight / image_weight
        self.adversarial_weight = adversarial_weight / image_weight
        self.class_weight = class_weight / image_weight
        self.adversarial_start = adversarial_start
        self.data_range = data_range
        self.modules = {"generator": generator, "discriminator": discriminator}
        self.optimisers = adam(self.modules, learning_rate)

    def impute(
        self, network: nn.Module, images: Tensor, given: Tensor, wanted: Tensor, mask: Tensor
    ) -> Tensor:
        """Make contrasts from the others.

        Parameters
        ----------
        network : module
        images : (N, K, ...) tensor
            What stands in the place of a missing contrast is not looked at.
        given : (N, K) tensor
            One where a contrast may be used, else zero.
        wanted : (N,) int64 tensor
        mask : (N, 1, ...) tensor

        Returns
        -------
        (N, 1, ...) tensor
        """
        known = images * given.reshape(*given.shape, *(1,) * (images.dim() - 2))
        told = torch.cat([known, label_channels(wanted, self.contrasts, images)], dim=1)
        return bounded(network(told), self.value_range) * mask

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of generator and discriminator.

        Parameters
        ----------
        batch : dict
            ``contrasts`` (N, K, ...), ``mask`` (N, 1, ...), ``given`` (N, K) and ``wanted`` (N,).
        step : int
        """
        generator, critic = self.modules["generator"], self.modules["discriminator"]
        mask, given, wanted = batch["mask"], batch["given"], batch["wanted"]
        images = batch["contrasts"] * mask
        rows = torch.arange(len(images), device=images.device)
        target = images[rows, wanted].unsqueeze(1)
        made = self.impute(generator, images, given, wanted, mask)
        again, rows, cycled = self._cycles(images, made, given, wanted, mask)
        original, cycle_mask = images[rows, cycled].unsqueeze(1), mask[rows]
        similar = 1 - dissimilarity(again, original, cycle_mask, self.data_range) / 2
        fakes, classes = torch.cat([made, again]), torch.cat([wanted, cycled])
        terms = {
            "l1": masked_l1(made, target, mask),
            "cycle": self.cycle_weight * masked_l1(again, original, cycle_mask),
            "similarity": -self.similarity_weight * similar.clamp_min(1e-3).log(),
        }
        scores, logits = critic(torch.cat([target, original]))
        critic_terms = {"real_class": class_cross_entropy(logits, classes)}
        if step >= self.adversarial_start:
            fake_scores, fake_logits = opinion(critic, fakes)
            terms |= {
                "fool": self.adversarial_weight * generator_loss(fake_scores),
                "fake_class": self.class_weight * class_cross_entropy(fake_logits, classes),
            }
            critic_terms["judge"] = discriminator_loss(scores, critic(fakes.detach())[0])
        return {"generator": terms, "discriminator": critic_terms}

    def _cycles(
        self, images: Tensor, made: Tensor, given: Tensor, wanted: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Each given contrast, made from the other ones given and the one that was made.

        Returns
        -------
        again : (M, 1, ...) tensor
        rows, cycled : (M,) int64 tensors
            Of which patch, and which contrast.
        """
        rows, cycled = given.nonzero(as_tuple=True)
        is_wanted = label_channels(wanted, self.contrasts, images)
        completed = torch.where(is_wanted > 0, made.to(images.dtype), images)
        usable = torch.maximum(given, label_channels(wanted, self.contrasts, given))[rows]
        usable = usable.scatter(1, cycled.unsqueeze(1), 0.0)
        again = self.impute(self.modules["generator"], completed[rows], usable, cycled, mask[rows])
        return again, rows, cycled

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers over all patterns.

        Parameters
        ----------
        network : module
        batch : dict
            ``contrasts`` (N, K, ...) and ``mask`` (N, 1, ...).

        Returns
        -------
        dict
            ``l1``, the mean over all patterns and everything that is missing in them, and
            ``l1_from_<n>``, that over the patterns with n contrasts.
        """
        images, mask = batch["contrasts"], batch["mask"]
        errors: dict[int, list[float]] = {}
        for pattern in patterns(self.contrasts):
            for wanted in (pattern == 0).nonzero().flatten():
                every = wanted.expand(len(images)).to(images.device)
                given = pattern.expand(len(images), -1).to(images)
                made = self.impute(network, images, given, every, mask)
                error = masked_l1(made, images[:, wanted : wanted + 1], mask)
                errors.setdefault(int(pattern.sum()), []).append(float(error))
        every = [error for found in errors.values() for error in found]
        return {"l1": sum(every) / len(every)} | {
            f"l1_from_{n}": sum(found) / len(found) for n, found in sorted(errors.items())
        }

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First contrast of the first volume, made from all others, and from the second alone."""
        images, mask = batch["contrasts"][:1], batch["mask"][:1]
        wanted = torch.zeros(1, dtype=torch.long, device=images.device)
        others = torch.ones(1, self.contrasts, device=images.device).index_fill(1, wanted, 0.0)
        alone = torch.zeros_like(others)
        alone[:, 1] = 1
        return {
            "target": images[0, 0],
            "output": self.impute(network, images, others, wanted, mask)[0, 0],
            "from one": self.impute(network, images, alone, wanted, mask)[0, 0],
        }


def patterns(contrasts: int) -> Tensor:
    """All 2^K - 2 ways to have some of K contrasts and not all, (2^K - 2, K), one where given."""
    numbers = torch.arange(1, 2**contrasts - 1).unsqueeze(1)
    return ((numbers >> torch.arange(contrasts)) & 1).float()
