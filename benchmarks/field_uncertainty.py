"""Whether the standard deviation of a field says how wrong it is, on simulated unseen people.

    python benchmarks/field_uncertainty.py LABELMAPS CACHE

Runs are those of ``sdc_learnt.py``. The weights of the variance's terms are fitted to the errors
of the runs of two people, and printed; those of the package are then tried on two others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from scipy.stats import spearmanr
from sdc_learnt import runs

from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.quality import held_out
from bids_gan.distortion.uncertainty import WEIGHTS, variance_terms
from bids_gan.models.blip import rendered_people
from bids_gan.models.recipe import read_recipe

#: voxels of a run that are looked at
VOXELS = 4000
#: mm², for a logarithm
LEAST = 1e-3


def errors(people: list, number: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Terms of the variance (voxels, 4) and squared errors (voxels,) of each run."""
    terms, squares = [], []
    for run in runs(people, number):
        measured, guides = run.scene()
        found = estimate_field(measured, guides, np.eye(4))
        spread = held_out(measured, guides, found.dwi_to_t1w)["displacement_spread_mm"]
        parts = variance_terms(found.displacement_mm, found.mask, measured.affine, spread)
        places = np.flatnonzero(found.mask & run.brain)
        chosen = np.random.default_rng(0).choice(places, min(VOXELS, len(places)), replace=False)
        terms.append(parts.reshape(len(parts), -1)[:, chosen].T)
        squares.append(np.square(found.displacement_mm - run.mm).ravel()[chosen])
    return terms, squares


def fitted(terms: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Weights, none below zero, of the most likely variance of a normal distribution."""
    variance = np.full(len(squares), squares.mean())
    for _ in range(12):
        weights, _ = nnls(terms / variance[:, None], squares / variance)
        variance = np.maximum(terms @ weights, LEAST)
    return weights


def main() -> None:
    """Fit, try, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--runs", type=int, nargs=2, default=(36, 40), help="to fit, and to try")
    options = parser.parse_args()
    torch.set_num_threads(1)

    def seen(labels: list[str], number: int):
        recipe = read_recipe("distortion") | {"label_maps": {"test": labels}}
        people = rendered_people(recipe, options.label_maps, options.cache, "test")
        return errors(people, number)

    terms, squares = seen(["17", "18"], options.runs[0])
    weights = fitted(np.concatenate(terms), np.concatenate(squares))
    print("fitted to people 17 and 18:", *weights.round(3))
    terms, squares = seen(["19", "20"], options.runs[1])
    report(terms, squares)


def report(terms: list[np.ndarray], squares: list[np.ndarray]) -> None:
    """Print predicted and real errors of voxels that are predicted alike."""
    variances = [part @ WEIGHTS for part in terms]
    ranks = [spearmanr(*pair)[0] for pair in zip(variances, squares, strict=True)]
    variance, square = np.concatenate(variances), np.concatenate(squares)
    print("| fifth of all voxels | predicted (mm) | root mean square of the error (mm) |")
    print("|---|---|---|")
    groups = np.array_split(np.argsort(variance), 5)
    for number, group in enumerate(groups, 1):
        print(
            f"| {number} | {np.sqrt(variance[group].mean()):.2f} "
            f"| {np.sqrt(square[group].mean()):.2f} |"
        )
    print(
        f"\nwithin one standard deviation {np.mean(square < variance):.0%}, "
        f"within two {np.mean(square < 4 * variance):.0%}; "
        f"rank correlation inside a brain {np.mean(ranks):.2f}"
    )


if __name__ == "__main__":
    main()
