"""Dual-stage GAN (Guibas et al. 2017, https://arxiv.org/abs/1709.01872): labels, then an image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import split_heads
from bids_gan.gan.losses.adversarial import fool, judge
from bids_gan.gan.losses.image import agreement, laplace_nll, masked_l1
from bids_gan.gan.methods.parts import adam
from bids_gan.gan.methods.progressive import ProgressiveGAN
from bids_gan.gan.networks.layers import one_hot


class DualStageGAN:
    """Noise becomes a label volume, and that an image: training data for a segmenter.

    Parameters
    ----------
    generator : DualStageGenerator
    critic : ProgressiveCritic
        Of the first stage, with a channel a class.
    discriminator : module
        Of the second stage; sees a channel a class, and the image.
    stages, steps
        Of the first stage, see :class:`~bids_gan.gan.methods.progressive.ProgressiveGAN`.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    adversarial_weight : float
        Of the second stage, against L1.
    learning_rate : float

    Notes
    -----
    As in the paper the stages learn side by side and nothing from each other: the first from real
    label volumes, the second from pairs of these and their images.

    One label volume has many images, and a network without noise makes but one. So the second
    stage predicts the scale of its error as well, and an image is drawn from the Laplace law.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        discriminator: nn.Module,
        stages: int,
        steps: float,
        value_range: str = "positive",
        adversarial_weight: float = 0.01,
        learning_rate: float = 1e-3,
    ):
        self.value_range = value_range
        self.adversarial_weight = adversarial_weight
        self.first = ProgressiveGAN(generator.shape, critic, stages, steps, "classes")
        self.modules = {"generator": generator, "critic": critic, "discriminator": discriminator}
        self.optimisers = adam(self.modules, learning_rate, (0.0, 0.99))

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of both stages.

        Parameters
        ----------
        batch : dict
            ``input`` (N, 1, ...), real images of the last size; their ``labels`` (N, ...), of
            which those inside ``mask`` (N, 1, ...) are seen.
        step : int
            Which size the first stage works on.
        """
        tissue, mask = self._tissue(batch), batch["mask"]
        first = self.first.losses({"input": tissue}, step)
        critic = self.modules["discriminator"]
        value, log_scale = split_heads(
            self.modules["generator"].appearance(tissue), self.value_range
        )
        error = (value - batch["input"]).abs()
        fake = torch.cat([tissue, drawn(value, log_scale) * mask], dim=1)
        real = torch.cat([tissue, batch["input"] * mask], dim=1)
        second = {
            "l1": masked_l1(value, batch["input"], mask),
            # the scale learns from the error and must not excuse it
            "scale": 0.05 * laplace_nll(error.detach(), log_scale, mask),
            "adversarial": self.adversarial_weight * fool(critic, fake),
        }
        return {
            "generator": first["generator"] | second,
            "critic": first["critic"],
            "discriminator": {"judge_image": judge(critic, real, fake)},
        }

    def draw(self, network: nn.Module, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Labels (count, ...) of random vectors, and images (count, 1, ...) of them."""
        z = torch.randn(count, network.latent, device=device)
        labels, raw = network(z)
        inside = (labels > 0).unsqueeze(1)
        return labels, drawn(*split_heads(raw, self.value_range)) * inside

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers of a batch of real images and labels.

        Returns
        -------
        dict
            Of the first stage those of :meth:`ProgressiveGAN.score`, where an image has a channel
            a class; of the second ``l1`` and ``r`` of the image of real labels.
        """
        tissue = self._tissue(batch)
        value, _ = split_heads(network.appearance(tissue), self.value_range)
        return {
            **self.first.score(network.shape, {"input": tissue}),
            **agreement(value, batch["input"], batch["mask"]),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Labels and image of a real person, and two that were made, always of the same noise."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            labels, images = self.draw(network, 2, batch["input"].device)
        seen = self._tissue(batch).argmax(1)
        shown = {"real labels": seen[0], "real": batch["input"][0, 0]}
        for number, (label, image) in enumerate(zip(labels, images, strict=True), 1):
            shown |= {f"labels {number}": label, str(number): image[0]}
        return shown

    def _tissue(self, batch: dict[str, Tensor]) -> Tensor:
        """Real labels inside the mask, a channel a class."""
        inside = batch["labels"] * (batch["mask"][:, 0] > 0)
        return one_hot(inside, self.modules["generator"].classes)


def drawn(value: Tensor, log_scale: Tensor) -> Tensor:
    """Images from the Laplace law around `value`; an intensity is never below zero."""
    up, down = (torch.empty_like(value).exponential_() for _ in range(2))
    return (value + log_scale.exp() * (up - down)).clamp_min(0)
