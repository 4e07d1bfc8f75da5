"""Constrained adversarial auto-encoder (Chen and Konukoglu 2018): what is unlike healthy brains.

https://openreview.net/forum?id=H1nGLZ2oG
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.heads import bounded
from bids_gan.gan.inference import tiled
from bids_gan.gan.losses.adversarial import fool, gradient_penalty, judge
from bids_gan.gan.losses.image import masked_l1, masked_mean


class ConstrainedAutoencoder:
    """Auto-encoder of healthy images whose latent vectors are normal, and stay where they are.

    Parameters
    ----------
    autoencoder : Autoencoder
        Of one channel.
    critic : VectorCritic
        Of its latent vectors.
    value_range : str
        See :data:`bids_gan.gan.heads.RANGES`.
    latent_weight : float
        Of the constraint: image and reconstruction have one latent vector.
    prior_weight : float
        Of the Wasserstein term that makes the vectors look like N(0, I).
    penalty_weight : float
        Of the critic's gradient penalty, against its Wasserstein term.
    learning_rate : float
        The critic's is four times as high, in place of the many steps a batch that it is given in
        the paper.

    Notes
    -----
    The constraint is what distinguishes it: an image with a lesion and its reconstruction without
    one are then near each other in latent space, and their difference is the lesion.
    """

    def __init__(
        self,
        autoencoder: nn.Module,
        critic: nn.Module,
        value_range: str = "positive",
        latent_weight: float = 0.5,
        prior_weight: float = 0.1,
        penalty_weight: float = 10.0,
        learning_rate: float = 1e-3,
    ):
        self.value_range = value_range
        self.latent_weight = latent_weight
        self.prior_weight = prior_weight
        self.penalty_weight = penalty_weight
        self.modules = {"generator": autoencoder, "critic": critic}
        self.optimisers = {
            "generator": torch.optim.Adam(autoencoder.parameters(), learning_rate, (0.5, 0.9)),
            "critic": torch.optim.Adam(critic.parameters(), 4 * learning_rate, (0.5, 0.9)),
        }

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms of auto-encoder and critic.

        Parameters
        ----------
        batch : dict
            ``input`` and ``mask`` (N, 1, ...) of healthy people.
        step : int
        """
        network, critic, mask = self.modules["generator"], self.modules["critic"], batch["mask"]
        image = batch["input"] * mask
        code = network.encode(image)
        again = bounded(network.decode(code), self.value_range) * mask
        code_again = network.encode(again)
        prior = torch.randn_like(code)
        constraint = (code - code_again).float().square().mean()
        return {
            "generator": {
                "reconstruction": masked_mean((again - image).square(), mask),
                "latent": self.latent_weight * constraint,
                "prior": self.prior_weight * fool(critic, code, "wasserstein"),
            },
            "critic": {
                "judge": judge(critic, prior, code, "wasserstein"),
                "penalty": self.penalty_weight * gradient_penalty(critic, prior, code),
            },
        }

    @torch.no_grad()
    def residual(self, network: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
        """How much an image (N, 1, ...) differs from its reconstruction, inside the mask.

        Images larger than those trained on are reconstructed in overlapping cubes.
        """
        return (image - self._again(network, image, mask)).abs() * mask

    def _again(self, network: nn.Module, image: Tensor, mask: Tensor) -> Tensor:
        raw = tiled(network, image * mask, network.size[0])
        return bounded(raw, self.value_range) * mask

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Validation numbers of a volume.

        Parameters
        ----------
        network : module
        batch : dict
            ``input`` and ``mask`` (N, 1, ...), and perhaps ``lesion`` (N, 1, ...).

        Returns
        -------
        dict
            Mean residual ``l1``; where there is a lesion, the area under the ROC curve of its
            voxels against the others of the mask: ``auc`` of the residual, ``intensity_auc`` of
            the image as it is.
        """
        image, mask = batch["input"], batch["mask"]
        residual = self.residual(network, image, mask)
        result = {"l1": float(masked_l1(residual, torch.zeros_like(residual), mask))}
        inside = mask > 0.5
        lesion = batch.get("lesion", torch.zeros_like(mask))[inside] > 0.5
        if lesion.any() and not lesion.all():
            result["auc"] = area_under_curve(residual[inside], lesion)
            result["intensity_auc"] = area_under_curve(image[inside], lesion)
        return result

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First volume, its reconstruction, their difference, and the lesion if there is one."""
        image, mask = batch["input"][:1], batch["mask"][:1]
        volumes = {
            "input": image,
            "reconstruction": self._again(network, image, mask),
            "residual": self.residual(network, image, mask),
        }
        if "lesion" in batch:
            volumes["lesion"] = batch["lesion"].long()
        return {name: volume[0, 0] for name, volume in volumes.items()}


def area_under_curve(scores: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve: how often a positive voxel scores above another one.

    Parameters
    ----------
    scores : (V,) tensor
        Equal ones count half.
    positive : (V,) bool tensor
        Some, not all.
    """
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    rank = (last - (counts - 1) / 2)[place]  # from one; equal scores share their mean
    hits, rest = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * rest))
