"""Dual-stage GAN (Guibas et al. 2017, https://arxiv.org/abs/1709.01872): labels, then an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.heads import split_heads
from bids_gan.gan.losses.adversarial import fool, judge
from bids_gan.gan.losses.image import agreement, laplace_nll, masked_l1
from bids_gan.gan.losses.latent import kl_divergence
from bids_gan.gan.methods.parts import adam, same_noise
from bids_gan.gan.methods.progressive import compare_people
from bids_gan.gan.networks.layers import one_hot


class DualStageGAN:
    """Noise becomes a label volume, and that an image: training data for a segmenter.

    Parameters
    ----------
    generator : DualStageGenerator
    discriminator : PatchDiscriminator
        Of the second stage; sees a channel a class, and the image.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    code_weight : float
        Of the code's divergence from noise, per voxel, against the first stage's cross-entropy.
    adversarial_weight : float
        Of the second stage, against L1.
    learning_rate : float
    shape_rate : float
        Learning rate of the first stage, whose weights are all of size one, see
        :class:`~bids_gan.gan.networks.equalised.Equalised`.

    Notes
    -----
    As in the paper the stages learn side by side and nothing from each other: the first from real
    label volumes, the second from pairs of these and their images.

    The first stage of the paper is a GAN, here it is a variational auto-encoder (Kingma and
    Welling 2014, https://arxiv.org/abs/1312.6114): an encoder finds the vector of each real label
    volume, which must be made again from it. So every one of them has its place, and generated
    people cannot collapse to a few. Labels are sharp whatever makes them.

    One label volume has many images, and a network without noise makes but one. So the second
    stage predicts the scale of its error as well, and an image is drawn from the Laplace law.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        value_range: str = "positive",
        code_weight: float = 0.05,
        adversarial_weight: float = 0.01,
        learning_rate: float = 1e-3,
        shape_rate: float = 2e-2,
    ):
        self.value_range = value_range
        self.code_weight = code_weight
        self.adversarial_weight = adversarial_weight
        self.modules = {"generator": generator, "discriminator": discriminator}
        shapes = torch.optim.Adam(
            [
                {"params": generator.appearance.parameters()},
                {"params": generator.encoder.parameters()},
                {"params": generator.shape.parameters(), "lr": shape_rate},
            ],
            learning_rate,
            (0.5, 0.99),
        )
        judges = adam({"discriminator": discriminator}, learning_rate)
        self.optimisers = {"generator": shapes, **judges}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of both stages.

        Parameters
        ----------
        batch : dict
            ``input`` (N, 1, ...), real images; their ``labels`` (N, ...), of which those inside
            ``mask`` (N, 1, ...) are seen.
        step : int
        """
        tissue, image, mask = self._tissue(batch), batch["input"], batch["mask"]
        generator, critic = self.modules["generator"], self.modules["discriminator"]
        value, log_scale = split_heads(generator.appearance(tissue), self.value_range)
        error = (value - image).abs()
        fake = torch.cat([tissue, drawn(value, log_scale) * mask], dim=1)
        real = torch.cat([tissue, image * mask], dim=1)
        second = {
            "l1": masked_l1(value, image, mask),
            # the scale learns from the error and must not excuse it
            "scale": 0.05 * laplace_nll(error.detach(), log_scale, mask),
            "adversarial": self.adversarial_weight * fool(critic, fake),
        }
        return {
            "generator": self._shapes(tissue) | second,
            "discriminator": {"judge_image": judge(critic, real, fake)},
        }

    def _shapes(self, tissue: Tensor) -> dict[str, Tensor]:
        """Terms of the first stage."""
        generator = self.modules["generator"]
        mean, log_variance = generator.encoder(tissue).clamp(-8, 8).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        per_voxel = self.code_weight / tissue[0, 0].numel()
        return {
            "again": F.cross_entropy(generator.shape(code).float(), tissue),
            "code": per_voxel * kl_divergence(mean, log_variance),
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
            Of the first stage those of :func:`compare_people`, where an image has a channel a
            class; of the second ``l1`` and ``r`` of the image of real labels.
        """
        tissue = self._tissue(batch)
        value, _ = split_heads(network.appearance(tissue), self.value_range)
        with same_noise():
            noise = torch.randn(len(tissue), network.latent, device=tissue.device)
            made = network.shape(noise).softmax(1)
        return {
            **compare_people(made, tissue),
            **agreement(value, batch["input"], batch["mask"]),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Labels and image of a real person, and two that were made, always of the same noise."""
        with same_noise():
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
