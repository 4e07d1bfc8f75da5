"""Regression of a displacement and its variance, and of what else moves one image on another."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.losses.image import gaussian_nll, masked_l1
from bids_gan.gan.methods.parts import adamw

#: range of the logarithm of the variance, mm²
LOG_VARIANCE = (-6.0, 5.0)


class Displacement:
    """Train a network to predict a displacement, the logarithm of its variance, and misalignment.

    Parameters
    ----------
    network : module
        Maps (N, C, D, H, W) to five channels, see :func:`displacement_heads`.
    learning_rate : float
    fairness : float
        See :func:`~bids_gan.gan.losses.image.gaussian_nll`.
    weight_misalignment : float
        Of its mean absolute error (mm).

    Notes
    -----
    The likelihood is smallest at the mean of all displacements that fit what is seen: where
    that is little, the prediction is near zero and its variance large.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float = 1e-3,
        fairness: float = 0.5,
        weight_misalignment: float = 0.3,
    ):
        self.modules = {"generator": network}
        self.optimisers = {"generator": adamw(network, learning_rate)}
        self.fairness = fairness
        self.weight_misalignment = weight_misalignment

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss terms.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, ...); ``target`` in mm and ``mask``, where it counts, (N, 1, ...);
            ``misalignment`` in mm (N, 3, ...).
        step : int
        """
        mm, log_variance, apart = displacement_heads(self.modules["generator"](batch["input"]))
        error = mm - batch["target"]
        nll = gaussian_nll(error, log_variance, batch["mask"], self.fairness)
        misaligned = masked_l1(apart, batch["misalignment"], batch["mask"])
        return {"generator": {"nll": nll, "misaligned": self.weight_misalignment * misaligned}}

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Share of the displacement that is left (1: as without), and what its variance tells.

        ``rank`` is Spearman's correlation of predicted standard deviation and absolute error
        over the voxels of a run, ``spread`` the error in units of it (root mean square),
        ``misaligned`` the mean absolute error (mm) of the misalignment along an axis.
        """
        *found, apart = displacement_heads(network(batch["input"]))
        parts = *found, batch["target"], batch["mask"]
        misaligned = masked_l1(apart, batch["misalignment"], batch["mask"])
        scores = []
        for run in zip(*parts, strict=True):
            score = _score(*(part.float() for part in run))
            scores.append(score | {"misaligned": float(misaligned)})
        return {name: sum(s[name] for s in scores) / len(scores) for name in scores[0]}

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First run of a batch: b=0 image, true and predicted displacement, (D, H, W) each."""
        mask = batch["mask"][0, 0]
        mm, *_ = displacement_heads(network(batch["input"][:1]))
        return {
            "input": batch["input"][0, 0].float(),
            "target": batch["target"][0, 0] * mask,
            "output": mm[0, 0] * mask,
        }


def displacement_heads(output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Displacement (mm), logarithm of its variance and misalignment (mm) of raw output.

    Parameters
    ----------
    output : (N, 5, ...) tensor

    Returns
    -------
    (N, 1, ...), (N, 1, ...) and (N, 3, ...) tensor
    """
    mm, log_variance, apart = output.float().split((1, 1, 3), dim=1)
    return mm, log_variance.clamp(*LOG_VARIANCE), apart


def _score(mm: Tensor, log_variance: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    where = mask > 0.5
    error, sigma = (mm - target)[where].abs(), (log_variance[where] / 2).exp()
    ranks = torch.stack([values.argsort().argsort().double() for values in (error, sigma)])
    return {
        "left": float(error.mean() / target[where].abs().mean().clamp_min(0.1)),
        "mm": float(error.mean()),
        "rank": float(torch.corrcoef(ranks)[0, 1]),
        "spread": float((error / sigma).square().mean().sqrt()),
    }
