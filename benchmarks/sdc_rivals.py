"""The correction of one blip beside other routes from T1w to field, and without each of its parts.

    python benchmarks/sdc_rivals.py LABELMAPS CACHE
    python benchmarks/sdc_rivals.py LABELMAPS CACHE --routes parts --runs 20
    python benchmarks/sdc_rivals.py LABELMAPS CACHE --cost

The runs are those of ``sdc_learnt.py`` with an SNR of 10 to 40. Every route is given the same
images. Those of the product begin with its alignment, whose time is not counted but where
``--cost`` says so. *ANTs* is SyN held to the phase-encoding axis; it begins at the headers.
*On the T1w* is what the errors of field and alignment make together: how far from its place on the
T1w a signal lands. There a constant displacement that is taken for a move of the head, or the
reverse, does no harm.
"""

from __future__ import annotations

import argparse
import copy
import csv
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import torch
from sdc_learnt import append, estimators, on_grid, rendered, row, runs, summary
from torch import nn

from bids_gan.anatomy.template import affine_to_template
from bids_gan.distortion.alignment import align_distorted, expect
from bids_gan.distortion.coregister import Brain, coregister
from bids_gan.distortion.correct import aligned_field
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.quality import judge
from bids_gan.distortion.types import EstimatorSettings, Guides, Measured
from bids_gan.geometry import box_grid, resample
from bids_gan.itk import to_ants
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.blip import BlipRun

SETTINGS = EstimatorSettings()
NOISE = (1 / 40, 1 / 10)
#: what is asked of a route: what is left of the median and of the 95th percentile, and no fold
BAR = (0.35, 0.60, 0)
#: grid of ANTs (mm), as fine as the finest of the estimator, and what is around the brain
SPACING, MARGIN = 3.0, 15.0
#: largest standard deviation of a move that is none
STILL = 0.5
#: of a metric, both chosen on people 17 and 18: histogram bins or radius, and iterations
SAMPLING = {"mattes": 32, "CC": 2}
ITERATIONS = {"mattes": (100, 70, 30), "CC": (100, 50, 10)}


#: displacement in mm on the diffusion grid, and pull matrix from there to the T1w
Found = tuple[np.ndarray, np.ndarray]
Route = Callable[["Case"], Found]


class Start(NamedTuple):
    """Pull matrices of the network's first look, and of the alignment."""

    first: np.ndarray
    pull: np.ndarray


@dataclass(frozen=True)
class Case:
    """A run as a route sees it, and the truth for the routes that are told of it."""

    measured: Measured
    mask: np.ndarray
    guides: Guides
    true_fa: np.ndarray

    @classmethod
    def of(cls, run: BlipRun) -> Case:
        measured, guides = run.scene()
        return cls(measured, run.recorded["b0_mask"], guides, run.fa * guides.mask)

    @cached_property
    def start(self) -> Start:
        """From the diffusion image to the anatomy, as the product finds it."""
        found = align_distorted(self.measured, self.mask, self.guides, self.brains[1], network())
        return Start(found.start, found.coregistration.dwi_to_t1w)

    @cached_property
    def registration(self) -> Start:
        """The same by mutual information of the recorded image."""
        return Start(*2 * [coregister(*self.brains).dwi_to_t1w])

    @property
    def headers(self) -> Start:
        """The same as the headers say."""
        return Start(np.eye(4), np.eye(4))

    @property
    def brains(self) -> tuple[Brain, Brain]:
        """b=0 image and anatomy, to be aligned."""
        guides = self.guides
        return (
            Brain(self.measured.b0, self.mask, self.measured.affine),
            Brain(guides.t2, guides.mask, guides.affine),
        )


@cache
def network() -> nn.Module:
    return load_model(find_card("distortion")).network


@cache
def template_fa(path: Path) -> nib.Nifti1Image:
    return nib.load(path)


def placed_template(case: Case, path: Path) -> np.ndarray:
    """FA of the template on the grid of the guides, by the affine of the product."""
    guides, template = case.guides, template_fa(path)
    to_mni = affine_to_template(guides.t2, guides.mask, guides.affine)
    fa = resample(
        template.get_fdata(dtype=np.float32), template.affine, guides.t2.shape, guides.affine,
        target_to_source=to_mni,
    )  # fmt: skip
    return fa * guides.mask


def ours(case: Case, fa: np.ndarray) -> Found:
    """The product with a guide FA."""
    scene = (case.measured, replace(case.guides, fa=fa))
    prior = expect(*scene, *case.start, network())
    found = estimate_field(*scene, case.start.pull, SETTINGS, prior)
    return found.displacement_mm, found.dwi_to_t1w


def syn(case: Case, image: str, guide: str, metric: str) -> Found:
    """Field by which ANTs brings an image onto its guide along phase encoding."""
    import ants

    measured, guides = case.measured, case.guides
    shape, grid = box_grid(case.mask, measured.affine, SPACING, MARGIN)
    placed = resample(getattr(guides, guide), guides.affine, shape, grid)
    moving = resample(getattr(measured, image), measured.affine, shape, grid)
    direction = measured.affine[:3, 0] / np.linalg.norm(measured.affine[:3, 0])
    with tempfile.TemporaryDirectory() as folder:
        found = ants.registration(
            to_ants(placed, grid), to_ants(moving, grid), "SyNOnly", initial_transform="Identity",
            outprefix=f"{folder}/syn_", syn_metric=metric, syn_sampling=SAMPLING[metric],
            reg_iterations=ITERATIONS[metric],
            restrict_transformation=tuple(int(n) for n in np.abs(direction).round()),
        )  # fmt: skip
        warp = next(name for name in found["fwdtransforms"] if name.endswith("Warp.nii.gz"))
        vectors = np.asarray(nib.load(warp).dataobj)[..., 0, :]
    mm = vectors @ (direction * (-1, -1, 1))  # ITK counts left, posterior, superior
    return resample(mm, grid, case.mask.shape, measured.affine, antialias=False), np.eye(4)


def rivals(template: Path) -> dict[str, Route]:
    """Routes by name."""
    return {
        "no correction": lambda case: (np.zeros_like(case.measured.b0), np.eye(4)),
        "ANTs, FA to synthetic FA": lambda case: syn(case, "fa", "fa", "mattes"),
        "ANTs, b0 to T2-like": lambda case: syn(case, "b0", "t2", "CC"),
        "bids-gan, FA of a template": lambda case: ours(case, placed_template(case, template)),
        "bids-gan, synthetic FA": lambda case: ours(case, case.guides.fa),
        "bids-gan, true FA": lambda case: ours(case, case.true_fa),
    }


def parts() -> dict[str, Route]:
    """The estimator, and what is left of it without a part."""

    def route(images=("b0", "fa"), start: str = "start", looks: int = 0, **changes):
        def run(case: Case) -> Found:
            begin, scene = getattr(case, start), (case.measured, case.guides)
            weights = {f"weight_{name}": 1.0 if name in images else 0.0 for name in ("b0", "fa")}
            prior = expect(*scene, *begin, looking(looks), images)
            settings = replace(SETTINGS, **weights | changes)
            found = estimate_field(*scene, begin.pull, settings, prior)
            return found.displacement_mm, found.dwi_to_t1w

        return run

    def learnt(case: Case) -> Found:
        prior = expect(case.measured, case.guides, *case.start, network())
        return on_grid(prior, case.measured)[0], case.start.pull

    def variational(case: Case) -> Found:
        scene = (case.measured, case.guides, SETTINGS, case.start.pull)
        return estimators(network(), SETTINGS)["variational"](*scene)[0], case.start.pull

    return {
        "all parts": route(),
        "without the FA": route(images=("b0",)),
        "without the b0": route(images=("fa",)),
        "without the learnt estimator": variational,
        "without the variational estimator": learnt,
        "the network looks once": route(looks=1),
        "aligned by the headers": route(start="headers"),
        "aligned by registration": route(start="registration"),
        "without the bending penalty": route(bending=0.0),
    }


@cache
def looking(times: int) -> nn.Module:
    """The network, made to look so many times; 0 for as often as it does."""
    other = copy.deepcopy(network())
    other.passes = times or other.passes
    return other


def costs() -> dict[str, Callable[[Case], object]]:
    """What is timed, each in a process of its own."""

    def aligned(case: Case):
        scene = (case.measured, case.mask, case.guides, case.brains[1])
        return aligned_field(*scene, network())

    def gated(case: Case):
        return judge(case.measured, case.guides, *aligned(case), network())

    return {
        "bids-gan, estimate": lambda c: ours(c, c.guides.fa),
        "bids-gan, with the alignment": aligned,
        "bids-gan, with the gate too": gated,
        "ANTs, FA to synthetic FA": lambda c: syn(c, "fa", "fa", "mattes"),
        "ANTs, b0 to T2-like": lambda c: syn(c, "b0", "t2", "CC"),
    }


def cost(name: str, case: Case) -> tuple[float, float]:
    """Processor seconds, and the peak memory (MiB) of a process that does nothing else."""
    torch.set_num_threads(1)
    _ = case.start
    start = time.process_time()
    costs()[name](case)
    seconds = time.process_time() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cost_table(case: Case) -> Iterator[str]:
    yield f"| run of {case.mask.shape} voxels | processor s | peak memory |\n|---|---|---|"
    for name in costs():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(cost, (name, case))
        yield f"| {name} | {seconds:.1f} | {memory:.0f} MiB |"


def off_the_t1w(run: BlipRun, affine: np.ndarray, found: Found) -> float:
    """Median distance (mm) in the brain of where signals land on the T1w from where they belong.

    To first order: an error of the field misplaces a signal by as much along phase encoding.
    """
    mm, pull = found
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    points = nib.affines.apply_affine(affine, np.argwhere(run.brain))
    placed = nib.affines.apply_affine(pull, points) - points
    belongs = run.misalignment[:, run.brain].T @ axes.T
    along = (mm - run.mm)[run.brain][:, None] * axes[:, 0]
    return float(np.median(np.linalg.norm(placed - belongs - along, axis=1)))


def measured_row(run: BlipRun, affine: np.ndarray, found: Found) -> dict[str, float]:
    """Errors, folds in the brain, and what is known of the run."""
    mm, _ = found
    slope = np.gradient(mm, float(np.abs(run.directions[:, 0]).max()), axis=0)
    inside = run.guides["brain"]
    quality = np.corrcoef(run.guides["synth_fa"][inside], run.fa[inside])[0, 1]
    folds = float((1 + slope <= 0)[run.brain].sum())
    known = {"snr": run.snr, "move": run.move, "gradients_differ": int(run.gradients_differ)}
    known |= {"on the T1w": off_the_t1w(run, affine, found)}
    return row(run, (mm, None)) | {"folds": folds, "quality": float(quality), **known}


def verdicts(rows: list[dict]) -> Iterator[str]:
    """How each route stands to the bar."""
    yield f"bar: median {BAR[0]:.0%}, p95 {BAR[1]:.0%} of the uncorrected ones, no fold"
    for name in dict.fromkeys(r["estimator"] for r in rows):
        group = [r for r in rows if r["estimator"] == name]
        total = {k: sum(float(r[k]) for r in group) for k in group[0] if k != "estimator"}
        median, p95 = (total[k] / total[f"size_{k}"] for k in ("median", "p95"))
        met = median <= BAR[0] and p95 <= BAR[1] and total["folds"] <= BAR[2]
        folded = sum(float(r["folds"]) > 0 for r in group)
        yield (
            f"{name}: {median:.0%}, {p95:.0%}, folds in {folded} of {len(group)} runs: "
            f"{'met' if met else 'missed'}"
        )


def by_geometry(rows: list[dict]) -> Iterator[tuple[str, list[dict]]]:
    """Runs by how well T1w and diffusion image fit together, whatever the field."""
    groups = {
        f"heads that lay still (up to {STILL} mm and degrees), gradients alike": [],
        "heads that lay still, gradients differ": [],
        "heads that moved": [],
    }
    still, differ, moved = groups.values()
    for one in rows:
        quiet = float(one["move"]) <= STILL
        (moved if not quiet else differ if int(one["gradients_differ"]) else still).append(one)
    yield from ((text, group) for text, group in groups.items() if group)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("cache", type=Path, help="keeps what is rendered of the label maps")
    parser.add_argument("--people", nargs="+", default=["17", "18", "19", "20"])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--routes", choices=("rivals", "parts"), default="rivals")
    parser.add_argument("--only", help="routes whose names begin so")
    parser.add_argument("--template", type=Path, default="DATA/templates/MNI_FA.nii.gz")
    parser.add_argument("--out", type=Path, help="table of every run (TSV), continued if there")
    parser.add_argument("--cost", action="store_true", help="time and memory at 2 mm instead")
    parser.add_argument("--figures", type=Path, help="folder for the figures of the errors")
    options = parser.parse_args()
    torch.set_num_threads(1)
    people = rendered(options.people, options.label_maps, options.cache)
    if options.cost:
        cases = list(runs(people, 2, NOISE))
        print("\n".join(cost_table(Case.of(cases[1]))))
        return

    routes = parts() if options.routes == "parts" else rivals(options.template)
    routes = {k: route for k, route in routes.items() if k.startswith(options.only or "")}
    rows = _read(options.out) if options.out and options.out.exists() else []
    done = {(int(r["run"]), r["estimator"]) for r in rows}
    for number, run in enumerate(runs(people, options.runs, NOISE)):
        case = Case.of(run)
        for name, route in routes.items():
            if (number, name) in done:
                continue
            if name.startswith("bids-gan") or options.routes == "parts":
                _ = case.start  # the same for each of them, and not in its time
            start = time.process_time()
            found = route(case)
            seconds = time.process_time() - start
            rows.append({"run": number, "estimator": name, "seconds": seconds})
            rows[-1] |= measured_row(run, case.measured.affine, found)
            if options.out:
                append(options.out, rows[-1])
    print("\n".join([*summary(rows, ("on the T1w", "folds", "seconds")), "", *verdicts(rows)]))
    for text, group in by_geometry(rows):
        print(
            "\n".join(
                [f"\n{text}\n", *summary(group, ("on the T1w", "folds")), "", *verdicts(group)]
            )
        )
    if options.figures:
        from sdc_rival_figures import draw

        draw(rows, options.figures)


def _read(path: Path) -> list[dict]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


if __name__ == "__main__":
    main()
