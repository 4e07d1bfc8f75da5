"""Progressively grown GAN (Karras et al. 2018, https://arxiv.org/abs/1710.10196): from noise."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from bids_gan.gan.distributions import maximum_mean_discrepancy
from bids_gan.gan.heads import bounded
from bids_gan.gan.losses.adversarial import discriminator_loss, fool, gradient_penalty
from bids_gan.gan.losses.structure import multi_scale_similarity
from bids_gan.gan.methods.parts import adam, same_noise
from bids_gan.gan.networks.progressive import double, halve, stage_and_share


class ProgressiveGAN:
    """Generator and critic that begin at 4 voxels a side and double, stage by stage.

    Parameters
    ----------
    generator : ProgressiveGenerator
    critic : ProgressiveCritic
    stages : int
        How many sizes there are.
    steps : float
        Of the training. Every size gets twice as many as the one before, so the last, the hardest,
        about half of all; in the first half of all but the first the new size fades in.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    penalty_weight, drift_weight : float
        Of the gradient penalty, and of the mean square of the scores of real images, which keeps
        them from wandering.
    learning_rate : float
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        stages: int,
        steps: float,
        value_range: str = "positive",
        penalty_weight: float = 10.0,
        drift_weight: float = 1e-3,
        learning_rate: float = 1e-3,
    ):
        self.stages = stages
        self.steps = steps
        self.value_range = value_range
        self.penalty_weight = penalty_weight
        self.drift_weight = drift_weight
        self.modules = {"generator": generator, "critic": critic}
        self.optimisers = adam(self.modules, learning_rate, (0.0, 0.99))

    def progress(self, step: float) -> float:
        """How far the networks have grown at a step, see :func:`stage_and_share`."""
        shortest = self.steps / (2**self.stages - 1)
        stage = min(int(math.log2(step / shortest + 1)), self.stages - 1)
        if stage == 0:
            return 0.0
        length = 2**stage * shortest
        share = min(2 * (step - (length - shortest)) / length, 1.0)
        # at the very beginning of a fade the new size is there, if only just
        return stage - 1 + max(share, 1e-6)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of generator and critic.

        Parameters
        ----------
        batch : dict
            ``input`` (N, 1, ...), real images of the last size.
        step : int
            Which size is worked on.
        """
        generator, critic = self.modules["generator"], self.modules["critic"]
        progress = self.progress(step)
        generator.progress.fill_(progress)
        critic.progress.fill_(progress)
        real = self.shrunk(batch["input"], progress)
        fake = self.draw(generator, len(real), real.device)
        scores = critic(real)
        return {
            "generator": {"fool": fool(critic, fake, "wasserstein")},
            "critic": {
                "judge": discriminator_loss(scores, critic(fake.detach()), "wasserstein"),
                "penalty": self.penalty_weight * gradient_penalty(critic, real, fake),
                "drift": self.drift_weight * scores.float().square().mean(),
            },
        }

    def draw(self, network: nn.Module, count: int, device: torch.device) -> Tensor:
        """Images (count, 1, ...) of random vectors."""
        z = torch.randn(count, network.latent, device=device)
        return bounded(network(z), self.value_range)

    def shrunk(self, image: Tensor, progress: float) -> Tensor:
        """Real images of the size grown to, with as little detail as generated ones can have."""
        stage, share = stage_and_share(progress)
        for _ in range(self.stages - 1 - stage):
            image = halve(image)
        return image if share == 1.0 else torch.lerp(double(halve(image)), image, share)

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers of a batch of real images that were not trained on.

        Returns
        -------
        dict
            See :func:`compare_people`.
        """
        real = self.shrunk(batch["input"], float(network.progress))
        return compare_people(self._same_draw(network, len(real), real.device), real)

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A real image and three that were made, always of the same vectors."""
        real = self.shrunk(batch["input"][:1], float(network.progress))
        made = self._same_draw(network, 3, real.device)
        return {"real": real[0, 0]} | {str(n): volume[0] for n, volume in enumerate(made, 1)}

    def _same_draw(self, network: nn.Module, count: int, device: torch.device) -> Tensor:
        with same_noise():
            return self.draw(network, count, device)


def compare_people(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Whether generated images are as different from each other as real ones, and like these.

    Parameters
    ----------
    fake, real : (N, 1, ...) tensor
        Two or more of each.

    Returns
    -------
    dict
        ``diversity``, the mean absolute difference of two generated images over that of two real
        ones; ``ms_ssim_generated`` and ``ms_ssim_real``, the mean similarity of two images of a
        kind, and ``ms_ssim_across``, of a generated and a real one: generated images that are
        much more alike than real ones have collapsed. ``mmd``, the squared maximum mean
        discrepancy of both kinds.
    """
    (far, alike), (real_far, real_alike) = pairwise(fake), pairwise(real)
    across = [
        multi_scale_similarity(a, b) for a, b in itertools.product(fake.split(1), real.split(1))
    ]
    return {
        "diversity": far / real_far,
        "ms_ssim_generated": alike,
        "ms_ssim_real": real_alike,
        "ms_ssim_across": float(torch.cat(across).mean()),
        "mmd": float(maximum_mean_discrepancy(fake, real)),
    }


def pairwise(images: Tensor) -> tuple[float, float]:
    """Mean absolute difference, and mean MS-SSIM, over all pairs of (N, 1, ...) images."""
    a, b = (torch.cat(x) for x in zip(*itertools.combinations(images.split(1), 2), strict=True))
    return float((a - b).abs().mean()), float(multi_scale_similarity(a, b).mean())
