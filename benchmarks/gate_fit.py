"""Fit the score of the no-harm gate to simulated runs, and say how often it errs.

    python benchmarks/gate_fit.py runs.tsv
    python benchmarks/gate_fit.py runs.tsv --write

The table is that of ``gate.py``. The score is the log odds that a field helps, a logistic
regression with a ridge on what is known of a field. Its limit is the least at which the share
of harmful fields that pass is at most ``--harm``, each head scored by weights that were fitted
to the others. How often it errs is told by leaving out each head from all of that: its runs are
judged by weights and a limit from the others. ``--write`` puts score and limit of all heads into
the package.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import mannwhitneyu

from bids_gan.distortion import quality, score
from bids_gan.distortion.score import Score

#: numbers of the score: others add nothing to them
NAMES = ("axis_share", "left_bend_mm")
#: what else is known
OTHERS = (
    "expected_share", "expected_error_mm", "left_degrees", "left_mm", "refined_field", "overlap",
    "jacobian_min", "displacement_deviation_mm", "displacement_p99_mm", "displacement_spread_mm",
    "held_out_correlation", "held_out_b0_gain", "held_out_fa_gain", "held_out_b0_after",
    "held_out_fa_after",
)  # fmt: skip
RIDGE = 5.0


def read(paths: list[Path]) -> list[dict]:
    """Rows of tables, numbers as numbers."""
    rows = []
    for path in paths:
        with path.open(newline="") as stream:
            rows += csv.DictReader(stream, delimiter="\t")
    return [{key: _value(text) for key, text in row.items()} for row in rows]


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def head(row: dict) -> str:
    """Name of the head of a run."""
    return f"{int(row['head']):02d}"


def are(rows: list[dict], outcome: str) -> np.ndarray:
    """Which runs had an outcome: ``harmful``, ``helpful`` or ``neither``."""
    return np.array([row["outcome"] == outcome for row in rows])


def fitted(rows: list[dict], limit: float = 0.0) -> Score:
    """Score whose sum is the log odds that a field helps, if it does not do nothing."""
    rows = [row for row in rows if row["outcome"] != "neither"]
    values = np.array([score.logarithms(row, NAMES) for row in rows])
    means, deviations = values.mean(axis=0), values.std(axis=0)
    plain = Score(
        NAMES, tuple(means), tuple(deviations), (1.0,) * len(NAMES), offset=0.0, limit=limit
    )
    parts = np.array([plain.parts(row) for row in rows])
    sign = np.where(are(rows, "harmful"), -1.0, 1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (parts @ w[1:] + w[0])
        slope = -sign * expit(-margin)
        value = np.logaddexp(0, -margin).sum() + RIDGE / 2 * (w[1:] @ w[1:])
        return value, np.r_[slope.sum(), parts.T @ slope + RIDGE * w[1:]]

    found = minimize(loss, np.zeros(1 + len(NAMES)), jac=True).x
    return Score(NAMES, plain.means, plain.deviations, tuple(found[1:]), float(found[0]), limit)


def without_each_head(rows: list[dict]) -> Iterator[tuple[np.ndarray, list[dict]]]:
    """Which runs are of a head, and the runs of the others, for every head."""
    heads = np.array([head(row) for row in rows])
    for name in sorted(set(heads)):
        here = heads == name
        yield here, [row for row, one in zip(rows, here, strict=True) if not one]


def left_out(rows: list[dict]) -> np.ndarray:
    """Score of every run by weights that were fitted to the other heads."""
    scores = np.empty(len(rows))
    for here, others in without_each_head(rows):
        rule = fitted(others)
        scores[here] = [rule.of(row) for row, one in zip(rows, here, strict=True) if one]
    return np.where([physical(row) for row in rows], scores, -np.inf)


def calibrated(rows: list[dict], harm: float) -> Score:
    """Score and limit of some heads."""
    return fitted(rows, limit=least_limit(left_out(rows), are(rows, "harmful"), harm))


def judged(rows: list[dict], harm: float) -> np.ndarray:
    """Whether each run passes a gate that was calibrated on the other heads."""
    passed = np.empty(len(rows), bool)
    for here, others in without_each_head(rows):
        rule = calibrated(others, harm)
        passed[here] = [
            physical(row) and rule.of(row) >= rule.limit
            for row, one in zip(rows, here, strict=True)
            if one
        ]
    return passed


def least_limit(scores: np.ndarray, harmful: np.ndarray, share: float) -> float:
    """Between two scores: above it are at most a share of the harmful fields."""
    allowed = int(share * harmful.sum())
    last = np.sort(scores[harmful])[::-1][allowed]
    above = scores[(scores > last)]
    return float((last + above.min()) / 2) if above.size else float(last)


def physical(row: dict) -> bool:
    """Whether a field keeps the limits that hold whatever the score."""
    return not quality.physical_reasons(row)


def wilson(count: int, of: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    z, p = 1.96, count / of
    middle, half = p + z**2 / (2 * of), z * np.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    low, high = np.clip(np.array([middle - half, middle + half]) / (1 + z**2 / of), 0, 1)
    return float(low), float(high)


def report(rows: list[dict], passed: np.ndarray) -> Iterator[str]:
    """Table by condition, both error rates, and the same if every change counts."""
    kinds = ("harmful", "helpful", "neither")
    yield "| targets | runs | " + " | ".join(f"{kind} | of them passed" for kind in kinds) + " |"
    yield "|---" * 8 + "|"
    groups = np.array([row["condition"] for row in rows])
    for name in (*dict.fromkeys(sorted(groups, key=lambda g: (g != "good", g))), "all"):
        here = (groups == name) | (name == "all")
        found = (here & are(rows, kind) for kind in kinds)
        counts = " | ".join(f"{kind.sum()} | {(kind & passed).sum()}" for kind in found)
        yield f"| {name} | {here.sum()} | {counts} |"
    yield ""
    worse = np.array([row["error_mm"] > row["size_mm"] for row in rows])
    for text, bad, fine in (
        ("", are(rows, "harmful"), are(rows, "helpful")),
        (", however little", worse, ~worse),
    ):
        yield _rate(f"harmful that pass{text}", passed[bad])
        yield _rate(f"helpful that are refused{text}", ~passed[fine])


def single(rows: list[dict]) -> Iterator[str]:
    """Chance that a number alone tells a helpful field from a harmful one."""
    harmful, helpful = are(rows, "harmful"), are(rows, "helpful")
    yield "| number | chance to tell helpful from harmful |"
    yield "|---|---|"
    for name in (*NAMES, *OTHERS):
        values = np.array([row[name] for row in rows])
        found = mannwhitneyu(values[helpful], values[harmful])
        share = found.statistic / (harmful.sum() * helpful.sum())
        yield f"| `{name}` | {max(share, 1 - share):.2f} |"


def _rate(text: str, wrong: np.ndarray) -> str:
    low, high = wilson(int(wrong.sum()), len(wrong))
    return f"{text}: {wrong.sum()} of {len(wrong)}, {wrong.mean():.1%} ({low:.1%} to {high:.1%})"


def as_text(rule: Score, rows: int) -> dict:
    """What the package keeps of a score."""
    columns = zip(rule.names, rule.means, rule.deviations, rule.weights, strict=True)
    return {
        "Command": "python benchmarks/gate_fit.py runs.tsv --write",
        "Runs": rows,
        "Limit": round(rule.limit, 4),
        "Offset": round(rule.offset, 4),
        "Numbers": {
            name: {"Mean": round(m, 4), "Deviation": round(d, 4), "Weight": round(w, 4)}
            for name, m, d, w in columns
        },
    }


def main() -> None:
    """Fit and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", help="tables of gate.py")
    parser.add_argument("--harm", type=float, default=0.05, help="harmful that may pass")
    parser.add_argument("--write", action="store_true", help="into the package")
    options = parser.parse_args()
    rows = read(options.runs)
    rule = calibrated(rows, options.harm)
    passed = left_out(rows) >= rule.limit
    print("\n".join([*single(rows), "", *report(rows, judged(rows, options.harm))]))
    print(_rate("harmful that pass the limit of all heads", passed[are(rows, "harmful")]))
    print(_rate("helpful that it refuses", ~passed[are(rows, "helpful")]))
    text = json.dumps(as_text(rule, len(rows)), indent=2)
    print(text)
    if options.write:
        score.FILE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
