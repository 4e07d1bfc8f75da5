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
    critic : PatchDiscriminator
        Of the first stage, with a channel a class.
    discriminator : PatchDiscriminator
        Of the second stage; sees a channel a class, and the image.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    shape_weight : float
        Adversarial, of the first stage, against its reconstruction.
    shape_start : int
        Step from which it counts.
    code_weight : float
        Of the code's divergence from noise, per voxel, against the same.
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

    The first stage is a VAE-GAN (Larsen et al. 2016, https://arxiv.org/abs/1512.09300): an encoder
    finds the vector of each real label volume, which must be made again from it. So every one of
    them has its place, and generated people cannot collapse to a few.

    One label volume has many images, and a network without noise makes but one. So the second
    stage predicts the scale of its error as well, and an image is drawn from the Laplace law.
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        discriminator: nn.Module,
        value_range: str = "positive",
        shape_weight: float = 0.02,
        shape_start: int = 0,
        code_weight: float = 0.05,
        adversarial_weight: float = 0.01,
        learning_rate: float = 1e-3,
        shape_rate: float = 2e-2,
    ):
        self.value_range = value_range
        self.shape_weight = shape_weight
        self.shape_start = shape_start
        self.code_weight = code_weight
        self.adversarial_weight = adversarial_weight
        self.modules = {"generator": generator, "critic": critic, "discriminator": discriminator}
        self.optimisers = adam(self.modules, learning_rate)
        self.optimisers["generator"] = torch.optim.Adam(
            [
                {"params": [*generator.appearance.parameters(), *generator.encoder.parameters()]},
                {"params": generator.shape.parameters(), "lr": shape_rate},
            ],
            learning_rate,
            (0.5, 0.99),
        )

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of both stages.

        Parameters
        ----------
        batch : dict
            ``input`` (N, 1, ...), real images; their ``labels`` (N, ...), of which those inside
            ``mask`` (N, 1, ...) are seen.
        step : int
        """
        tissue, mask = self._tissue(batch), batch["mask"]
        shapes = self._shapes(tissue, step)
        images = self._images(tissue, batch["input"], mask)
        return {
            "generator": shapes["generator"] | images["generator"],
            "critic": shapes["critic"],
            "discriminator": images["discriminator"],
        }

    def _shapes(self, tissue: Tensor, step: int) -> dict[str, dict[str, Tensor]]:
        """Terms of the first stage."""
        generator, critic = self.modules["generator"], self.modules["critic"]
        mean, log_variance = generator.encoder(tissue).clamp(-8, 8).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        made = self._made(generator, len(tissue), tissue.device)
        voxels = tissue[0, 0].numel()
        terms = {
            "again": F.cross_entropy(generator.shape(code).float(), tissue),
            "code": self.code_weight / voxels * kl_divergence(mean, log_variance),
        }
        if step >= self.shape_start:
            terms["fool"] = self.shape_weight * fool(critic, made)
        return {"generator": terms, "critic": {"judge": judge(critic, tissue, made)}}

    def _images(self, tissue: Tensor, image: Tensor, mask: Tensor) -> dict[str, dict[str, Tensor]]:
        """Terms of the second stage."""
        generator, critic = self.modules["generator"], self.modules["discriminator"]
        value, log_scale = split_heads(generator.appearance(tissue), self.value_range)
        error = (value - image).abs()
        fake = torch.cat([tissue, drawn(value, log_scale) * mask], dim=1)
        real = torch.cat([tissue, image * mask], dim=1)
        return {
            "generator": {
                "l1": masked_l1(value, image, mask),
                # the scale learns from the error and must not excuse it
                "scale": 0.05 * laplace_nll(error.detach(), log_scale, mask),
                "adversarial": self.adversarial_weight * fool(critic, fake),
            },
            "discriminator": {"judge_image": judge(critic, real, fake)},
        }

    @staticmethod
    def _made(network: nn.Module, count: int, device: torch.device) -> Tensor:
        """Shares of the classes (count, classes, ...) of random vectors."""
        return network.shape(torch.randn(count, network.latent, device=device)).softmax(1)

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
            made = self._made(network, len(tissue), tissue.device)
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
