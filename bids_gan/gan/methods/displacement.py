"""Regression of a displacement together with its variance, where images may not tell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_gan.gan.losses.image import gaussian_nll
from bids_gan.gan.methods.parts import adamw

#: range of the logarithm of the variance, mm²
LOG_VARIANCE = (-6.0, 5.0)


class Displacement:
    """Train a network to predict a displacement in mm and the logarithm of its variance.

    Parameters
    ----------
    network : module
        Maps (N, C, D, H, W) to two channels.
    learning_rate : float
    fairness : float
        See :func:`~bids_gan.gan.losses.image.gaussian_nll`.

    Notes
    -----
    The likelihood is smallest at the mean of all displacements that fit what is seen: where
    that is little, the prediction is near zero and its variance large.
    """

    def __init__(self, network: nn.Module, learning_rate: float = 1e-3, fairness: float = 0.5):
        self.modules = {"generator": network}
        self.optimisers = {"generator": adamw(network, learning_rate)}
        self.fairness = fairness

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, dict[str, Tensor]]:
        """Return the loss term.

        Parameters
        ----------
        batch : dict
            ``input`` (N, C, ...); ``target`` in mm and ``mask``, where it counts, (N, 1, ...).
        step : int
        """
        mm, log_variance = displacement_heads(self.modules["generator"](batch["input"]))
        error = mm - batch["target"]
        nll = gaussian_nll(error, log_variance, batch["mask"], self.fairness)
        return {"generator": {"nll": nll}}

    @torch.no_grad()
    def score(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, float]:
        """Share of the displacement that is left (1: as without), and what its variance tells.

        ``rank`` is Spearman's correlation of predicted standard deviation and absolute error
        over the voxels of a run, ``spread`` the error in units of it (root mean square).
        """
        mm, log_variance = displacement_heads(network(batch["input"]))
        scores = []
        for run in zip(mm, log_variance, batch["target"], batch["mask"], strict=True):
            scores.append(_score(*(part.float() for part in run)))
        return {name: sum(s[name] for s in scores) / len(scores) for name in scores[0]}

    @torch.no_grad()
    def preview(self, network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """First run of a batch: b=0 image, true and predicted displacement, (D, H, W) each."""
        mask = batch["mask"][0, 0]
        mm, _ = displacement_heads(network(batch["input"][:1]))
        return {
            "input": batch["input"][0, 0].float(),
            "target": batch["target"][0, 0] * mask,
            "output": mm[0, 0] * mask,
        }


def displacement_heads(output: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement (mm) and logarithm of its variance, (N, 1, ...) each, of raw output."""
    mm, log_variance = output.float().chunk(2, dim=1)
    return mm, log_variance.clamp(*LOG_VARIANCE)


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
