"""Train the classical methods on simulated people, and measure them on held-out ones.

    python benchmarks/methods.py LABELMAPS OUTPUT --minutes 9

LABELMAPS is the folder of whole-head label maps. A run that was stopped continues. The rows are
for the table of ``docs/methods.md``, ``OUTPUT/<method>.png`` for its page; all are of people whom
no recipe trains on.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from method_figures import write_figure

from bids_gan.gan.distributions import maximum_mean_discrepancy
from bids_gan.gan.losses.image import agreement
from bids_gan.gan.methods.progressive import compare_people
from bids_gan.gan.methods.unit import latent_distances
from bids_gan.gan.training.contrasts import aligned, single
from bids_gan.models.data import Folders
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe, run_recipe
from bids_gan.models.registry import load_network
from bids_gan.simulate.contrasts import ContrastPatches, WholeBrains
from bids_gan.simulate.labels import load_label_map

Numbers = dict[str, float]
Batch = dict[str, torch.Tensor]


def translation(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Error of T2w made from T1w, and of what needs no network."""
    scores = mean([method.score(network, batch) for batch in batches])
    yield "L1 of T2w from T1w", scores["l1"]
    yield "correlation", scores["r"]
    taken = mean([agreement(b["input"], b["target"], b["mask"]) for b in batches])
    yield "L1 of the input taken for the output", taken["l1"]
    yield "correlation of the input", taken["r"]
    yield "L1 of the best constant", constant_l1(batches, "target")


def unit(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Error of the translation, and whether the latent space is shared."""
    yield from translation(method, network, batches)
    source, target = (torch.cat([batch[key] for batch in batches]) for key in ("input", "target"))
    distances = latent_distances(network, source, target)
    same = distances.diagonal()
    others = (distances.sum(1) - same) / (len(same) - 1)
    yield "latent distance, same person over others", float((same / others).mean())
    yield (
        "share of people nearer to themselves than to others",
        float((same < others).double().mean()),
    )


def stargan(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Error over all pairs of contrasts, and what the label does."""
    scores = mean([method.score(network, batch) for batch in batches])
    yield "L1 over all pairs of contrasts", scores["l1"]
    yield "correlation", scores["r"]
    yield "L1 of the input taken for the output", scores["unchanged_l1"]
    yield "L1 of the best constant", constant_l1(batches, "contrasts")
    yield "mean difference between two labels", scores["label_effect"]


def collagan(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Error by the number of inputs."""
    every = [method.score(network, batch) for batch in batches]
    scores = mean(every)
    yield "L1 of the best constant", constant_l1(batches, "contrasts")
    counts = range(1, method.contrasts)
    for n in counts:
        yield f"L1 from {n} contrasts", scores[f"l1_from_{n}"]
    most, fewest = f"l1_from_{counts[-1]}", f"l1_from_{counts[0]}"
    better = [one[most] <= one[fewest] for one in every]
    yield "share of patches where most inputs beat one", sum(better) / len(better)


def constrained_autoencoder(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Whether residuals find simulated lesions."""
    scores = mean([method.score(network, batch) for batch in batches])
    yield "lesion AUC of the residual", scores["auc"]
    yield "lesion AUC of the intensity alone", scores["intensity_auc"]
    yield "mean residual", scores["l1"]


def progressive(method, network, batches: list[Batch]) -> Iterator[tuple[str, float]]:
    """Whether generated people differ as much as real ones do, and are like them."""
    real = torch.cat([batch["input"] for batch in batches])
    torch.manual_seed(0)
    with torch.no_grad():
        made = torch.cat([method.draw(network, len(batch["input"]), "cpu") for batch in batches])
    groups = zip(made.split(4), real.split(4), strict=True)
    scores = mean([compare_people(*group) for group in groups])
    yield "mean difference of two generated people over that of two others", scores["diversity"]
    yield "MS-SSIM of two generated people", scores["ms_ssim_generated"]
    yield "MS-SSIM of two others", scores["ms_ssim_real"]
    yield "MS-SSIM of a generated person and another", scores["ms_ssim_across"]
    half = len(real) // 2
    yield "MMD² of generated people and others", maximum_mean_discrepancy(made[:half], real[half:])
    yield "MMD² of two halves of the others", maximum_mean_discrepancy(real[:half], real[half:])
    alone = real[:1].expand_as(real[half:])
    yield "MMD² of one of the others and others", maximum_mean_discrepancy(alone, real[half:])


#: method -> what it reads of aligned contrasts, and what is measured
MEASURES = {
    "pix2pix": (aligned, translation),
    "cyclegan": (aligned, translation),
    "unit": (aligned, unit),
    "stargan": (lambda batches: batches, stargan),
    "collagan": (lambda batches: batches, collagan),
    "constrained-autoencoder": (single, constrained_autoencoder),
    "progressive": (single, progressive),
}


#: methods that do the same task are measured on the same patches
COMPARED_WITH = {"cyclegan": "pix2pix", "unit": "pix2pix"}


def mean(scores: list[Numbers]) -> Numbers:
    """Mean of each number over the patches that have it."""
    names = dict.fromkeys(name for one in scores for name in one)
    values = {name: [one[name] for one in scores if name in one] for name in names}
    return {name: sum(found) / len(found) for name, found in values.items()}


def constant_l1(batches: list[Batch], key: str) -> float:
    """Error of the median of each image, which no other constant undercuts."""
    errors = []
    for batch in batches:
        for image in batch[key].split(1, dim=1):
            values = image[batch["mask"] > 0.5]
            if len(values):  # a patch may lie beside the brain
                errors.append(float((values - values.median()).abs().mean()))
    return statistics.fmean(errors)


def test_maps(recipe: dict, label_maps: Path) -> dict[str, np.ndarray]:
    """The people whom the recipe keeps apart for the test."""
    return {
        person: load_label_map(next(label_maps.glob(f"*seg_{person}.nii.gz")))
        for person in recipe["label_maps"]["test"]
    }


def held_out(recipe: dict, maps: list[np.ndarray]) -> ContrastPatches:
    """Patches of people."""
    patch, contrasts = recipe["data"]["patch"], recipe["simulation"]["contrasts"]
    seed = read_recipe(COMPARED_WITH.get(recipe["method"], recipe["method"]))["seed"] + 1000
    if recipe["method"] == "progressive":
        return WholeBrains(maps, patch, 4, contrasts, seed=seed, spacing=recipe["data"]["spacing"])
    lesions = float(recipe["method"] == "constrained-autoencoder")
    return ContrastPatches(maps, patch, 1, contrasts, lesions, seed)


def main() -> None:
    """Train, print a row a number, draw a figure a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_maps", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(MEASURES), choices=MEASURES)
    parser.add_argument("--minutes", type=float, default=None, help="instead of the steps")
    parser.add_argument("--steps", type=int, default=None, help="other than the recipe's")
    parser.add_argument("--patches", type=int, default=64, help="to measure on")
    options = parser.parse_args()
    print("| method | on held-out label maps | number |", "|---|---|---|", sep="\n")
    for name in options.methods:
        recipe = read_recipe(name)
        card = run_recipe(
            recipe,
            Folders(label_maps=options.label_maps),
            options.output / name,
            steps=options.steps,
            minutes=options.minutes,
        )
        network = load_network(card).eval()
        method = make_method(network, recipe)
        view, measure = MEASURES[name]
        maps = test_maps(recipe, options.label_maps)
        batch = view(held_out(recipe, list(maps.values())).batch)
        batches = [batch(step) for step in range(options.patches)]
        for what, number in measure(method, network, batches):
            print(f"| {name} | {what} | {number:.3f} |", flush=True)
        people = {f"person {person}": labels for person, labels in maps.items()}
        write_figure(options.output / f"{name}.png", method, network, recipe, people)


if __name__ == "__main__":
    main()
