"""The training data that a recipe asks for."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from bids_gan.errors import DataError, UsageError
from bids_gan.gan.training.cache import cached_volumes
from bids_gan.gan.training.pairs import PairPatches, Person
from bids_gan.gan.training.unpaired import UnpairedPatches
from bids_gan.pairs.store import find_pair, read_summary
from bids_gan.simulate.attenuation import hounsfield_table
from bids_gan.simulate.labels import load_label_map
from bids_gan.simulate.patches import LabelPatches, SimulatedPairs
from bids_gan.simulate.physics import label_contrast
from bids_gan.simulate.uptake import fdg_table

Batches = Callable[[int], dict[str, Tensor]]
Validation = Callable[[], Iterable[dict[str, Tensor]]]

#: target -> its value for every label; the same for everybody, since a T1w does not tell echo
#: times, metabolism or bone density
SIMULATED = {
    "T2w": lambda: label_contrast(np.random.default_rng(0), "T2w"),
    "FDG": fdg_table,
    "CT": hounsfield_table,
}


@dataclass(frozen=True)
class Folders:
    """Where training data are.

    Attributes
    ----------
    pairs : Path, optional
        Written by ``bids-gan-model pairs``.
    label_maps : Path, optional
        Whole-head label maps, ``*seg_<person>.nii.gz``.
    """

    pairs: Path | None = None
    label_maps: Path | None = None


def training_data(recipe: dict, folders: Folders, cache: Path) -> tuple[Batches, Validation]:
    """Batches by step, and the validation volumes, of a recipe.

    Parameters
    ----------
    recipe : dict
        With ``people`` (pairs), ``label_maps`` (simulation) or both; then ``data.pairs_share`` is
        the share of steps that see pairs.
    folders : Folders
    cache : Path
        Folder for the volumes of pairs as the recipe wants them.

    Raises
    ------
    UsageError
        When a folder is not given that the recipe needs.
    """
    sources = []
    if "people" in recipe:
        sources.append(_pairs(recipe, needed_folder(folders.pairs, "--data", recipe), cache))
    if "label_maps" in recipe:
        folder = needed_folder(folders.label_maps, "--label-maps", recipe)
        make = _classes if recipe["method"] == "segmentation" else _simulated
        sources.append(make(recipe, folder))
    if len(sources) == 1:
        return sources[0]
    (pairs, validation), (simulated, _) = sources
    share = recipe["data"]["pairs_share"]

    def batches(step: int) -> dict[str, Tensor]:
        real = np.random.default_rng([recipe["seed"], step, 1]).random() < share
        return pairs(step) if real else simulated(step)

    return batches, validation


def lacking(recipe: dict) -> dict[str, str]:
    """What losses may require that the data of a recipe do not have, and why.

    Returns
    -------
    dict
        Key of :data:`bids_gan.gan.losses.registry.REQUIREMENTS` -> reason.
    """
    reasons = {
        "classes": "neither pairs nor label maps say of which class an image is",
        "physics": "neither pairs nor label maps come with what a scanner recorded",
    }
    if recipe["method"] == "cyclegan":
        reasons["pair"] = (
            "method cyclegan draws source and target independently, from different people and "
            "places; train by paired or pix2pix, or choose a loss that needs no pair"
        )
    if "people" in recipe:
        reasons["labels"] = (
            "the pairs of [people] have no labels; train on [label_maps] alone, or choose a loss "
            "that needs no labels"
        )
    return reasons


def range_seen(folder: Path, labels: Sequence[str]) -> dict[str, list[float]]:
    """Mean and standard deviation of what the inputs looked like; at least 10 % of the mean."""
    people = [read_summary(folder, label)["Appearance"] for label in labels]
    result = {}
    for name in people[0]:
        values = [person[name] for person in people]
        mean = statistics.fmean(values)
        result[name] = [round(mean, 4), round(max(statistics.pstdev(values), 0.1 * mean), 4)]
    return result


def needed_folder(folder: Path | None, flag: str, recipe: dict) -> Path:
    """Return the folder that a recipe needs, or say which flag names it."""
    if folder is None:
        raise UsageError(f"recipe {recipe['name']} needs {flag} FOLDER")
    return folder


def _pairs(recipe: dict, folder: Path, cache: Path) -> tuple[Batches, Validation]:
    def people(group: str) -> list[Person]:
        return [_person(folder, label, unit, cache) for label in recipe["people"][group]]

    unit = recipe["output"].get("unit", 1)
    options = recipe["data"]
    position = "position" in recipe["inputs"]
    sampling = (options["patch"], options["batch"], recipe["seed"], position)
    seen = people("train")
    if recipe["method"] == "cyclegan":
        patches = UnpairedPatches(seen, seen, *sampling)
    else:
        patches = PairPatches(seen, *sampling)
    unseen = people("validation")
    return patches.batch, lambda: (person.whole(position) for person in unseen)


def _person(folder: Path, label: str, unit: float, cache: Path) -> Person:
    """One pair, its target in the units of the network's output."""
    pair = find_pair(folder, label)

    def build() -> np.ndarray:
        volumes = pair.read()
        volumes[1] /= unit
        return volumes

    volumes = cached_volumes(pair.paths, cache, build)
    return Person(volumes, pair.voxel_to_mni, pair.thickness)


def _maps(recipe: dict, folder: Path, group: str) -> list[np.ndarray]:
    return [
        load_label_map(_one(folder, f"*seg_{person}.nii.gz"))
        for person in recipe["label_maps"][group]
    ]


def _classes(recipe: dict, folder: Path) -> tuple[Batches, Validation]:
    options, seed = recipe["data"], recipe["seed"]
    spacing = options["spacing"]
    train = _maps(recipe, folder, "train")
    patches = LabelPatches(train, options["patch"], options["batch"], spacing, seed)
    unseen = LabelPatches(_maps(recipe, folder, "validation"), 96, 1, spacing, seed + 1)
    return patches.batch, lambda: (unseen.batch(step) for step in range(8))


def _simulated(recipe: dict, folder: Path) -> tuple[Batches, Validation]:
    options, seed, simulation = recipe["data"], recipe["seed"], recipe["simulation"]
    kind = {
        "target": SIMULATED[recipe["target"]]() / recipe["output"].get("unit", 1),
        "blur_mm": simulation["blur_mm"],
        "region": simulation["region"],
    }
    train = _maps(recipe, folder, "train")
    patches = SimulatedPairs(train, options["patch"], options["batch"], seed=seed, **kind)
    unseen = SimulatedPairs(_maps(recipe, folder, "validation"), 96, 1, seed=seed + 1, **kind)
    return patches.batch, lambda: (unseen.batch(step) for step in range(8))


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"{folder}: {len(found)} files match {pattern}, one is needed")
    return found[0]
