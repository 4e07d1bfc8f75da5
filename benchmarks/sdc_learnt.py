"""Learnt and variational estimator of one blip, alone and together, on simulated unseen people.

    python benchmarks/sdc_learnt.py LABELMAPS CACHE
    python benchmarks/sdc_learnt.py LABELMAPS CACHE --people 17 18 --estimators both --prior 0.003

Runs are drawn as those that the network was trained on, of people it never saw: synthetic FA of
the released generator, fields with peaks of 3 to 15 mm (99th percentile) along i, j and k, voxels
of 1.5 to 3 mm, heads that are not quite aligned. CACHE keeps what was rendered of the label maps.
*Without FA* neither measured nor synthetic FA is looked at. *Rank* is Spearman's correlation of
the predicted standard deviation with the absolute error over the voxels of a brain, the mean over
the runs.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from field_table import HEADINGS
from scipy.stats import spearmanr

from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.learnt import predict
from bids_gan.distortion.types import EstimatorSettings, Guides, Level, Measured
from bids_gan.geometry import resample
from bids_gan.models.blip import rendered_people
from bids_gan.models.recipe import read_recipe
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.blip import NOISE, BlipRun, BlipRuns

AXES = (1, 1, 0, 1, 2)
SPACINGS = (3.0, 2.0, 2.5, 3.0, 1.5, 2.0, 2.5)
PEAK_MM = (3.0, 15.0)
STRONG_MM = 3.0
RENDERS = {"renders": 2}
ESTIMATORS = ("learnt", "variational", "both")
#: settings of the variational estimator without a prior, where they differ
ALONE = {
    "levels": (Level(6.0, 36.0, 1.0, 60), Level(6.0, 20.0, 0.5, 60),
               Level(3.0, 14.0, 0.7, 50, rigid=False)),
    "refine_rigid": True,
}  # fmt: skip

Found = tuple[np.ndarray, np.ndarray | None]


def rendered(heads: list[str], label_maps: Path, cache: Path) -> list:
    """People of label maps, as many of each however many the recipe trains on."""
    recipe = read_recipe("distortion")
    changes = {"label_maps": {"test": heads}, "simulation": recipe["simulation"] | RENDERS}
    return rendered_people(recipe | changes, label_maps, cache, "test")


def runs(people: list, number: int, noise: tuple[float, float] = NOISE) -> Iterator[BlipRun]:
    """Runs of unseen people, the same ones at every call."""
    source = BlipRuns(people, 1)
    for n in range(number):
        axis, spacing = AXES[n % len(AXES)], SPACINGS[n % len(SPACINGS)]
        yield source.run(axis, np.random.default_rng([977, n]), spacing, PEAK_MM, noise)


def stranger(people: list, run: BlipRun, number: int) -> Guides:
    """Guides of another run, in the place of a run's own: none of it can be believed."""
    rng = np.random.default_rng([978, number])
    axis = int(np.abs(run.directions[:, 0]).argmax())
    spacing = float(np.abs(run.directions[:, 0]).max())
    return BlipRuns(people, 1).run(axis, rng, spacing).scene()[1]


def without_fa(measured: Measured, guides: Guides) -> tuple[Measured, Guides]:
    """The same scene, FA erased."""
    return replace(measured, fa=0 * measured.fa), replace(guides, fa=0 * guides.fa)


def estimators(network, settings: EstimatorSettings) -> dict[str, Callable]:
    """Name -> function that gives displacement and sigma (mm).

    It takes what was measured, guides, settings and where it starts (pull matrix; the headers).
    """
    headers = np.eye(4)

    def learnt(measured, guides, _, start=headers):
        return on_grid(predict(measured, guides, start, network), measured)

    def variational(measured, guides, settings, start=headers):
        alone = replace(settings, **ALONE)
        return estimate_field(measured, guides, start, alone).displacement_mm, None

    def both(measured, guides, settings, start=headers):
        prior = predict(measured, guides, start, network)
        found = estimate_field(measured, guides, start, settings, prior)
        return found.displacement_mm, on_grid(prior, measured)[1]

    return {"learnt": learnt, "variational": variational, "both": both}


def on_grid(prior, measured: Measured) -> Found:
    return tuple(
        resample(m, prior.affine, measured.b0.shape, measured.affine, antialias=False)
        for m in (prior.mm, prior.sigma_mm)
    )


def row(run: BlipRun, found: Found) -> dict[str, float]:
    """Errors in the brain."""
    mm, sigma = found
    error = np.abs(mm - run.mm)[run.brain]
    size = np.abs(run.mm)[run.brain]
    strong = size > STRONG_MM
    result = {
        "size": size.mean(), "error": error.mean(), "median": np.median(error),
        "p95": np.percentile(error, 95), "size_median": np.median(size),
        "size_p95": np.percentile(size, 95), "strong": strong.sum(),
        "strong_size": size[strong].sum(), "strong_error": error[strong].sum(),
        "rank": np.nan, "sigma": np.nan, "rms": np.sqrt(np.mean(error**2)),
    }  # fmt: skip
    if sigma is not None:
        inside = sigma[run.brain]
        result |= {"rank": spearmanr(inside, error)[0], "sigma": np.sqrt(np.mean(inside**2))}
    return {name: float(value) for name, value in result.items()}


def summary(rows: list[dict], last: tuple[str, ...] = ("rank",)) -> Iterator[str]:
    """One line an estimator; means over its runs of what is named close it."""
    headings = ("estimator", "runs", HEADINGS, "where > 3 mm", "worse than none", *last)
    yield f"| {' | '.join(headings)} |"
    yield "|---" * (7 + len(last)) + "|"
    for name in dict.fromkeys(r["estimator"] for r in rows):
        group = [r for r in rows if r["estimator"] == name]

        def mean(key, group=group):
            return np.mean([float(r[key]) for r in group])

        strong = 1 - mean("strong_error") / mean("strong_size")
        worse = np.mean([float(r["error"]) > float(r["size"]) for r in group])
        yield (
            f"| {name} | {len(group)} | {mean('size_median'):.2f} → {mean('median'):.2f} "
            f"| {mean('size_p95'):.2f} → {mean('p95'):.2f} "
            f"| {1 - mean('error') / mean('size'):.0%} | {strong:.0%} | {worse:.0%} |"
            + "".join(f" {mean(key):.2f} |" for key in last)
        )


def expected_errors(rows: list[dict]) -> Iterator[str]:
    """How well the predicted standard deviation of a whole run tells its error."""
    for name in dict.fromkeys(r["estimator"] for r in rows):
        pairs = [(float(r["sigma"]), float(r["rms"])) for r in rows if r["estimator"] == name]
        sigma, rms = np.array(pairs).T
        if np.isfinite(sigma).all():
            low, high = np.percentile(rms / sigma, [5, 95])
            yield (
                f"{name}: predicted and real error of a run correlate with "
                f"{spearmanr(sigma, rms)[0]:.2f}; 90 % are {low:.2f} to {high:.2f} of it"
            )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--people", nargs="+", default=["17", "18", "19", "20"])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--network", default="distortion", help="name or path of the model")
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=ESTIMATORS)
    parser.add_argument("--prior", type=float, help="weight of the learnt estimate")
    parser.add_argument("--bending", type=float, help="weight of its difference's bending")
    parser.add_argument("--fa", choices=("on", "off", "both"), default="both")
    parser.add_argument("--strangers", action="store_true", help="guides of another person")
    parser.add_argument("--out", type=Path, help="table of every run (TSV), rows are added")
    options = parser.parse_args()
    torch.set_num_threads(1)

    chosen = {k: getattr(options, k) for k in ("prior", "bending") if getattr(options, k)}
    settings = EstimatorSettings(**chosen)
    people = rendered(options.people, options.label_maps, options.cache)
    learning = set(options.estimators) - {"variational"}
    network = load_model(find_card(options.network)).network if learning else None
    functions = estimators(network, settings)
    rows = []
    for number, run in enumerate(runs(people, options.runs)):
        scene = run.scene()
        if options.strangers:
            scene = (scene[0], stranger(people, run, number))
        for name in options.estimators:
            for fa in ("on", "off") if options.fa == "both" else (options.fa,):
                seen = scene if fa == "on" else without_fa(*scene)
                start = time.process_time()
                found = functions[name](
                    *seen, settings if fa == "on" else replace(settings, weight_fa=0.0)
                )
                seconds = time.process_time() - start
                label = name if fa == "on" else f"{name}, without FA"
                rows.append({"run": number, "estimator": label, "seconds": seconds})
                rows[-1] |= row(run, found)
                if options.out:
                    append(options.out, rows[-1])
    print("\n".join([*summary(rows), "", *expected_errors(rows)]))


def append(path: Path, values: dict) -> None:
    """Add a row to a table (TSV), in the order of its columns.

    Raises
    ------
    ValueError
        When a table that is there has other columns.
    """
    columns, new = list(values), not path.exists()
    if not new:
        with path.open(newline="") as stream:
            columns = next(csv.reader(stream, delimiter="\t"))
        if set(columns) != set(values):
            wrong = ", ".join(sorted(set(columns) ^ set(values)))
            raise ValueError(f"{path} is of another version ({wrong}): give a new table")
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter="\t")
        if new:
            writer.writeheader()
        writer.writerow(values)


if __name__ == "__main__":
    main()
