"""What the training loop is told, and the schedule that follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bids_gan.errors import UsageError


@dataclass(frozen=True)
class TrainingSettings:
    """What the loop needs to know, whatever the method.

    Attributes
    ----------
    steps : int
        Optimisation steps in all.
    freeze_statistics : int
        Step from which batch normalisation uses its running statistics, as inference does.
    warmup : int
        Steps over which the learning rate rises.
    hold : int
        Step up to which it stays there before it falls; layers that begin late need it.
    validate_every : int
        Steps between validations, each a row of the log.
    checkpoint_every : int
        Steps between checkpoints; at most so many are lost when a run is killed.
    preview_every : int
        Steps between figures of a validation volume; 0 for none.
    average_decay : float
        Decay of the exponential moving average of the weights, which is what gets released.
    precision : {'bf16', 'fp32'}
    seed : int
    workers : int
        Processes that prepare batches ahead of the training; 0 prepares them in its own.
    minutes : float, optional
        Wall time to train for. The share of it that has passed takes the place of the share of
        `steps` that is done, in the learning rate and in everything else that begins at a step.
    best : str, optional
        ``min NAME`` or ``max NAME`` of a validation number; the average with the best one is
        kept. Without it the last is.
    patience : int
        Stop after so many validations without a better `best`; 0 never does.
    """

    steps: int
    freeze_statistics: int = 500
    warmup: int = 100
    hold: int = 0
    validate_every: int = 250
    checkpoint_every: int = 100
    preview_every: int = 500
    average_decay: float = 0.998
    precision: str = "bf16"
    seed: int = 0
    workers: int = 1
    minutes: float | None = None
    best: str | None = None
    patience: int = 0

    def __post_init__(self):
        for name in ("steps", "validate_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: {getattr(self, name)}, at least 1 is needed")
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"minutes: {self.minutes}, a positive number is needed")
        if self.precision not in ("bf16", "fp32"):
            raise UsageError(f"precision: {self.precision!r} is neither bf16 nor fp32")
        if self.best is not None and self.best.split()[:1] not in (["min"], ["max"]):
            raise UsageError(
                f"best: {self.best!r}; write `min NAME` or `max NAME`, as in `min l1`"
            )
        if self.patience and self.best is None:
            raise UsageError("patience: needs `best`, the validation number to be patient about")

    def position(self, step: int, seconds: float) -> float:
        """Where in the schedule of ``steps`` a run stands, by steps done or by time passed."""
        if self.minutes is None:
            return step
        return min(seconds / (60 * self.minutes), 1.0) * self.steps

    def learning_rate_factor(self, position: float) -> float:
        """Linear warm-up, full from there to `hold`, then half a cosine down to 2 %."""
        if position < self.warmup:
            return (position + 1) / self.warmup
        begin = max(self.warmup, self.hold)
        progress = max(position - begin, 0) / max(self.steps - begin, 1)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
