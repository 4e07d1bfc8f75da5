"""Score of a field from numbers that its fit did not optimise: is it better than no correction?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

#: fitted and chosen by ``benchmarks/gate_fit.py``
FILE = Path(__file__).parents[1] / "data" / "gate.json"
#: standard deviations beyond which a number weighs no more: nothing so far off was calibrated
_FARTHEST = 3.0
#: numbers that a refusal names
_NAMED = 2

#: added to a number before its logarithm is taken: less is nothing
_NOTHING = 0.1

#: what the numbers of the score are called in a sentence
PHRASES = {
    "axis_share": "the expected error over the variation of the field, along phase encoding, is "
    "this multiple of the least along another axis:",
    "left_bend_mm": "once aligned, the network still sees the head bent, in mm, by",
}


@dataclass(frozen=True)
class Score:
    """Weighted sum of the standardised logarithms of numbers, the higher the better.

    Attributes
    ----------
    names : tuple of str
        Numbers of :func:`bids_gan.distortion.quality.judge`, none of them negative.
    means, deviations : tuple of float
        By which their logarithms are standardised: of the simulated runs of the calibration.
    weights : tuple of float
        Of the standardised logarithms, which are kept within three standard deviations.
    offset : float
        Added to the sum: it then is the logarithm of the odds that the field helps.
    limit : float
        Least score of a field that is used.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    limit: float

    def parts(self, numbers: dict[str, float]) -> np.ndarray:
        """What each number adds to the score; what is not finite counts as bad as can be."""
        values = logarithms(numbers, self.names)
        weights = np.array(self.weights)
        standard = (values - self.means) / self.deviations
        standard = np.where(np.isfinite(values), standard, -np.sign(weights) * np.inf)
        return weights * standard.clip(-_FARTHEST, _FARTHEST)

    def of(self, numbers: dict[str, float]) -> float:
        """Score of a field."""
        return float(self.parts(numbers).sum() + self.offset)

    def objection(self, numbers: dict[str, float]) -> str | None:
        """Sentence that says why a field is not good enough, if it is not."""
        score = self.of(numbers)
        if score >= self.limit:
            return None
        worst = np.argsort(self.parts(numbers))[:_NAMED]
        against = "; ".join(
            f"{PHRASES[self.names[n]]} {numbers[self.names[n]]:.3f} "
            f"(typical of simulated runs: {np.exp(self.means[n]) - _NOTHING:.3f})"
            for n in worst
        )
        return (
            f"The score of the field is {score:.2f}, at least {self.limit:.2f} is asked for. "
            f"What weighs most against it: {against}."
        )


def logarithms(numbers: dict[str, float], names: Sequence[str]) -> np.ndarray:
    """Logarithms of some numbers, as the score takes them."""
    return np.log(_NOTHING + np.array([numbers[name] for name in names], float))


@cache
def calibrated() -> Score:
    """The score of the released weights."""
    text = json.loads(FILE.read_text(encoding="utf-8"))
    numbers = text["Numbers"]
    return Score(
        names=tuple(numbers),
        means=tuple(n["Mean"] for n in numbers.values()),
        deviations=tuple(n["Deviation"] for n in numbers.values()),
        weights=tuple(n["Weight"] for n in numbers.values()),
        offset=text["Offset"],
        limit=text["Limit"],
    )
