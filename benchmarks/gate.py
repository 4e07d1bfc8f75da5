"""Simulated runs with good and useless targets: what the no-harm gate knows, and the truth.

    python benchmarks/gate.py LABELMAPS CACHE --out runs.tsv

Every run is of a person of its own: one of eight heads that the learnt estimator never saw, of
another size and shape, mirrored or not. Each is corrected as ``bids-gan`` corrects. In every
second run the targets are *good*, T2-like image and synthetic FA of the released models; in the
others they are worse in one of :data:`BAD` ways. The T2-like image also stands in for the T1w that
it is computed from, in the registration. A constant displacement is a move of the head, which the
alignment takes up: it counts neither as displacement nor as error. Rows are added to the table,
and a second start goes on where the first was stopped; ``--share 0 2`` makes every second run
alone, for two processes with a table each.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from sdc_learnt import append
from torch import nn

from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.distortion.alignment import seen
from bids_gan.distortion.coregister import Brain, coregister
from bids_gan.distortion.correct import aligned_field
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.quality import judge
from bids_gan.distortion.types import Guides, Measured
from bids_gan.models.blip import rendered
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate import failures
from bids_gan.simulate.blip import BlipRun, BlipRuns

HEADS = ("13", "14", "15", "16", "17", "18", "19", "20")
#: renders of each head
RENDERS = 2
AXES = (1, 1, 0, 1, 2)
SPACINGS = (3.0, 2.5, 3.0)
PEAK_MM = (3.0, 15.0)
#: share of heads that moved by several millimetres and degrees between the scans
MOVED = 0.1
#: change of the mean displacement error that is neither harm nor help, voxels
NOTHING = 0.1
#: depends on the rule that is to be calibrated
VERDICT = ("accepted", "reasons", "gate_score")
BAD = (
    "other person", "misplaced FA", "bent guides", "wrong axis", "blurred FA", "wrong FA",
    "noise", "failed alignment",
)  # fmt: skip


class Case(NamedTuple):
    """A run as the estimator is given it; the phase encoding is `i`, unless that is wrong."""

    measured: Measured
    mask: np.ndarray
    guides: Guides


def condition(number: int) -> str:
    """By turns, such that every head meets all."""
    turn = number // len(HEADS) + number % len(HEADS)
    return BAD[turn // 2 % len(BAD)] if turn % 2 else "good"


def case(run: BlipRun, name: str, targets: BlipRun, rng: np.random.Generator) -> Case:
    """What the estimator is given in a condition; the T1w lies in its own place."""
    if name == "other person":
        run = failures.with_guides_of(run, targets)
    elif name == "bent guides":  # all alike; an alignment cannot mend it
        run = failures.warped(run, failures.bend(run, rng))
    elif name == "noise":
        run = failures.noisy(run, rng)
    measured, guides = run.scene()
    if name == "misplaced FA":
        fa = ndimage.shift(guides.fa, _far(rng, 4, 9) / run.lengths, order=1)
        guides = replace(guides, fa=fa * guides.mask)
    elif name == "wrong axis":
        measured = replace(measured, pe_direction="j")
    elif name == "blurred FA":
        blur = rng.uniform(4, 8) / run.lengths
        guides = replace(guides, fa=ndimage.gaussian_filter(guides.fa, blur))
    elif name == "wrong FA":
        mirrored = guides.fa[:, ::-1] if rng.random() < 0.5 else guides.fa[:, :, ::-1]
        guides = replace(guides, fa=mirrored * guides.mask)
    if rng.random() < MOVED:  # some heads do not lie still, and some T1w is of another day
        pose = np.r_[np.deg2rad(rng.normal(0, 4, 3)), rng.normal(0, 5, 3)]
        guides = replace(guides, affine=rigid_matrix(pose, np.zeros(3)) @ guides.affine)
    return Case(measured, run.recorded["b0_mask"], guides)


def _far(rng: np.random.Generator, least: float, most: float) -> np.ndarray:
    direction = rng.standard_normal(3)
    return direction / np.linalg.norm(direction) * rng.uniform(least, most)


def fit(given: Case, name: str, network: nn.Module, rng: np.random.Generator):
    """Alignment and field as the product finds them, but where the alignment has to fail."""
    measured, mask, guides = given
    anatomy = Brain(guides.t2, guides.mask, guides.affine)
    if name != "failed alignment":
        return aligned_field(measured, mask, guides, anatomy, network)
    brain = Brain(measured.b0, mask, measured.affine)
    found = coregister(brain, anatomy)
    pose = np.r_[np.deg2rad(_far(rng, 6, 14)), _far(rng, 4, 12)]
    wrong = rigid_matrix(pose, found.centre) @ found.dwi_to_t1w
    found = seen(measured, guides, found.nearer(brain, anatomy, wrong), network)
    return found, estimate_field(measured, guides, wrong, prior=found.expected)


def row(number: int, person: Callable, network: nn.Module) -> dict:
    """One run: condition, truth, and the numbers of the gate."""
    start = time.process_time()
    head, name = HEADS[number % len(HEADS)], condition(number)
    rng = np.random.default_rng([991, number])
    axis, spacing = int(rng.choice(AXES)), float(rng.choice(SPACINGS))
    render = number // len(HEADS) % RENDERS
    run = BlipRuns([person(head, render)], 1).run(axis, rng, spacing, PEAK_MM)
    targets = run
    if name == "other person":
        other = HEADS[(number + int(rng.integers(1, len(HEADS)))) % len(HEADS)]
        targets = BlipRuns([person(other, render)], 1).run(axis, rng, spacing)
    given = case(run, name, targets, rng)
    found, estimate = fit(given, name, network, rng)
    quality = judge(given.measured, given.guides, found, estimate, network)
    mm = estimate.displacement_mm
    truth, found_mm = (_without_constant(each, run.brain) for each in (run.mm, mm))
    # along a wrong axis the true displacement is left, and a false one added
    wrong = name == "wrong axis"
    error = np.hypot(found_mm, truth) if wrong else np.abs(found_mm - truth)
    size, error = np.abs(truth).mean(), error.mean()
    return {
        "run": number, "head": head, "condition": name, "axis": axis,
        "spacing": spacing, "size_mm": size, "error_mm": error,
        "removed": 1 - error / size, "outcome": outcome(error - size, spacing),
        "source": found.coregistration.source,
        **{k: v for k, v in quality.items() if k not in VERDICT},
        "seconds": time.process_time() - start,
    }  # fmt: skip


def outcome(worse_mm: float, spacing: float) -> str:
    """What a change of the mean error amounts to; nobody tells a part of a voxel from none."""
    if abs(worse_mm) <= NOTHING * spacing:
        return "neither"
    return "harmful" if worse_mm > 0 else "helpful"


def _without_constant(mm: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Displacement in the brain but for its mean: a move of the head, which does no harm."""
    return mm[brain] - mm[brain].mean()


def main() -> None:
    """Collect."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--runs", type=int, default=240)
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), metavar=("PART", "OF"))
    parser.add_argument("--out", type=Path, required=True, help="table (TSV), rows are added")
    options = parser.parse_args()
    torch.set_num_threads(1)
    card = find_card("t1w-to-fa")
    network = load_model(find_card("distortion")).network

    @cache
    def person(head: str, render: int):
        path = options.label_maps / f"training_seg_{head}.nii.gz"
        return rendered(path, card, options.cache, render)

    part, of = options.share
    for number in range(done(options.out), options.runs):
        if number % of == part:
            append(options.out, row(number, person, network))


def done(path: Path) -> int:
    """Runs that the table holds."""
    if not path.exists():
        return 0
    with path.open(newline="") as stream:
        return 1 + max((int(r["run"]) for r in csv.DictReader(stream, delimiter="\t")), default=-1)


if __name__ == "__main__":
    main()
