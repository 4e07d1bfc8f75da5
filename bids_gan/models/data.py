"""The training data that a recipe asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from bids_gan.errors import UsageError
from bids_gan.gan.training.cache import cached_volumes
from bids_gan.gan.training.contrasts import (
    aligned,
    middle_slice,
    one_of_each,
    random_subsets,
    single,
    unrelated,
    with_classes,
)
from bids_gan.gan.training.pairs import PairPatches, Person
from bids_gan.models.blip import blip_runs
from bids_gan.models.scans import between_scanners
from bids_gan.pairs.store import find_pair
from bids_gan.simulate.attenuation import hounsfield_table
from bids_gan.simulate.contrasts import ContrastPatches, WholeBrains
from bids_gan.simulate.labels import find_label_map, load_label_map
from bids_gan.simulate.patches import LabelPatches, SimulatedPairs
from bids_gan.simulate.physics import label_contrast
from bids_gan.simulate.uptake import fdg_table

Batches = Callable[[int], dict[str, Tensor]]
Validation = Callable[[], Iterable[dict[str, Tensor]]]
Source = tuple[Batches, Validation]

VALIDATION_PATCHES = 8
#: methods that see no pairs
UNPAIRED = ("cyclegan", "unit")

#: target -> its value for every label; the same for everybody, since a T1w does not tell echo
#: times, metabolism or bone density
SIMULATED = {
    "T2w": lambda: label_contrast(np.random.default_rng(0), "T2w"),
    "FDG": fdg_table,
    "CT": hounsfield_table,
}


#: what losses may require that the simulation of a protocol has on request -> the key in
#: [simulation] that asks for it, and what is missing without
ON_REQUEST = {
    "classes": ("lesions", "no image is known to show a lesion or to show none"),
    "physics": ("epi_shift_mm", "nothing says what a scanner recorded"),
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


def training_data(recipe: dict, folders: Folders, cache: Path) -> Source:
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
        sources.append(SIMULATIONS.get(recipe["method"], _simulated)(recipe, folder, cache))
    batches, validation = sources[0] if len(sources) == 1 else _mixed(recipe, *sources)
    flat = recipe["network"].get("dimensions", 3) == 2
    neighbours = recipe["network"].get("neighbours", 0)

    def seen(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return with_classes(middle_slice(batch, neighbours) if flat else batch)

    return lambda step: seen(batches(step)), lambda: map(seen, validation())


def _mixed(recipe: dict, measured: Source, rendered: Source) -> Source:
    """Pairs in some steps, simulation in the others; the pairs' validation."""
    (pairs, validation), (simulated, _) = measured, rendered
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
    simulation = recipe.get("simulation", {})
    protocol = "people" not in recipe and "contrasts" in simulation
    reasons = {
        need: f"{why}; train on [label_maps] alone with contrasts and {key} in [simulation]"
        for need, (key, why) in ON_REQUEST.items()
        if not (protocol and simulation.get(key))
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


def needed_folder(folder: Path | None, flag: str, recipe: dict) -> Path:
    """Return the folder that a recipe needs, or say which flag names it."""
    if folder is None:
        raise UsageError(f"recipe {recipe['name']} needs {flag} FOLDER")
    return folder


def _pairs(recipe: dict, folder: Path, cache: Path) -> Source:
    def people(group: str) -> list[Person]:
        return [_person(folder, label, unit, cache) for label in recipe["people"][group]]

    def patches(seed: int) -> Batches:
        return PairPatches(seen, options["patch"], options["batch"], seed, position).batch

    unit = recipe["output"].get("unit", 1)
    options = recipe["data"]
    position = "position" in recipe["inputs"]
    seen, unseen = people("train"), people("validation")
    return _as_seen(recipe, patches), lambda: (person.whole(position) for person in unseen)


def _as_seen(recipe: dict, pairs: Callable[[int], Batches]) -> Batches:
    """Pairs of the recipe's seed, or their sources and targets apart if its method sees none."""
    seed = recipe["seed"]
    if recipe["method"] in UNPAIRED:
        return unrelated(pairs(seed), pairs(seed + 2))
    return pairs(seed)


def _person(folder: Path, label: str, unit: float, cache: Path) -> Person:
    """One pair, its target in the units of the network's output."""
    pair = find_pair(folder, label)

    def build() -> np.ndarray:
        volumes = pair.read()
        volumes[1] /= unit
        return volumes

    volumes = cached_volumes(pair.paths, cache, build)
    return Person(volumes, pair.voxel_to_mni, pair.thickness)


def read_maps(folder: Path, people: Sequence[str]) -> list[np.ndarray]:
    """Label maps of people, see :func:`bids_gan.simulate.labels.load_label_map`."""
    return [load_label_map(find_label_map(folder, person)) for person in people]


def _maps(recipe: dict, folder: Path, group: str) -> list[np.ndarray]:
    return read_maps(folder, recipe["label_maps"][group])


def _classes(recipe: dict, folder: Path, cache: Path) -> Source:
    options, seed = recipe["data"], recipe["seed"]
    spacing = options["spacing"]
    train = _maps(recipe, folder, "train")
    patches = LabelPatches(train, options["patch"], options["batch"], spacing, seed)
    unseen = LabelPatches(_maps(recipe, folder, "validation"), 96, 1, spacing, seed + 1)
    return patches.batch, lambda: (unseen.batch(step) for step in range(VALIDATION_PATCHES))


def _simulated(recipe: dict, folder: Path, cache: Path) -> Source:
    options, seed, simulation = recipe["data"], recipe["seed"], recipe["simulation"]
    if "scanners" in simulation:
        return _between_scanners(recipe, folder, cache)
    if "contrasts" in simulation:  # of one protocol, in place of any T1w and a fixed target
        maps = _maps(recipe, folder, "train")
        pairs = _as_seen(recipe, lambda seed: aligned(_contrasts(recipe, maps, seed=seed).batch))
        return pairs, _unseen(recipe, folder, aligned)
    kind = {
        "target": SIMULATED[recipe["target"]]() / recipe["output"].get("unit", 1),
        "blur_mm": simulation["blur_mm"],
        "region": simulation["region"],
        "position": "position" in recipe["inputs"],
    }
    train = _maps(recipe, folder, "train")

    def patches(seed: int) -> Batches:
        return SimulatedPairs(train, options["patch"], options["batch"], seed=seed, **kind).batch

    unseen = SimulatedPairs(_maps(recipe, folder, "validation"), 96, 1, seed=seed + 1, **kind)
    return _as_seen(recipe, patches), lambda: map(unseen.batch, range(VALIDATION_PATCHES))


def _between_scanners(recipe: dict, folder: Path, cache: Path) -> Source:
    """Scans of two scanners, if the method can learn without pairs."""
    if recipe["method"] not in UNPAIRED:
        raise UsageError(
            f"recipe {recipe['name']}: nobody was in both scanners, so there are no pairs for "
            f"method {recipe['method']}; accepted are {', '.join(UNPAIRED)}"
        )
    return between_scanners(recipe, folder, cache)


def _one_of_each(recipe: dict, folder: Path, cache: Path) -> Source:
    """One contrast of a patch, and the name of another."""
    return one_of_each(_seen(recipe, folder), recipe["seed"]), _unseen(recipe, folder)


def _subsets(recipe: dict, folder: Path, cache: Path) -> Source:
    """Some contrasts of a patch, and the name of a missing one."""
    return random_subsets(_seen(recipe, folder), recipe["seed"]), _unseen(recipe, folder)


def _images(recipe: dict, folder: Path, cache: Path) -> Source:
    """One contrast of healthy people; those of the validation have a lesion."""
    return single(_seen(recipe, folder)), _unseen(recipe, folder, single, lesions=1.0)


def _with_lesion_or_without(recipe: dict, folder: Path, cache: Path) -> Source:
    """One contrast of people some of whom have a lesion."""
    if reason := lacking(recipe).get("classes"):
        raise UsageError(f"recipe {recipe['name']}: {reason}")
    return single(_seen(recipe, folder)), _unseen(recipe, folder, single)


def _whole(recipe: dict, folder: Path, cache: Path) -> Source:
    """One contrast of whole brains, of the validation several at a time, to be compared."""
    options, simulation = recipe["data"], recipe["simulation"]
    if 0 < options.get("people", 0) < options["batch"]:
        raise UsageError(
            f"recipe {recipe['name']}, [data]: people = {options['people']}, but nobody is in a "
            f"batch twice; accepted are batch = {options['batch']} and more, or 0 for another "
            "person every time"
        )

    def brains(group: str, seed: int, people: int = 0) -> Batches:
        return single(
            WholeBrains(
                _maps(recipe, folder, group),
                options["patch"],
                options["batch"],
                simulation["contrasts"],
                seed=seed,
                spacing=options["spacing"],
                people=people,
            ).batch
        )

    unseen = brains("validation", recipe["seed"] + 1)
    train = brains("train", recipe["seed"], options.get("people", 0))
    return train, lambda: map(unseen, range(2))


def _seen(recipe: dict, folder: Path) -> Batches:
    """Aligned contrasts of the people trained on."""
    return _contrasts(recipe, _maps(recipe, folder, "train"), seed=recipe["seed"]).batch


def _unseen(
    recipe: dict,
    folder: Path,
    view: Callable[[Batches], Batches] = lambda batches: batches,
    **options,
) -> Validation:
    """Aligned contrasts of the validation's people, a patch at a time, as a method reads them."""
    maps = _maps(recipe, folder, "validation")
    patches = _contrasts(recipe, maps, seed=recipe["seed"] + 1, batch=1, **options)
    batches = view(patches.batch)
    return lambda: map(batches, range(VALIDATION_PATCHES))


def _contrasts(recipe: dict, maps: list[np.ndarray], **options) -> ContrastPatches:
    data, simulation = recipe["data"], recipe["simulation"]
    asked = {key: simulation[key] for key, _ in ON_REQUEST.values() if key in simulation}
    options = {"batch": data["batch"], "contrasts": simulation["contrasts"], **asked, **options}
    return ContrastPatches(maps, data["patch"], **options)


#: method -> function (recipe, folder of label maps, cache) that gives what it learns from, if not
#: pairs
SIMULATIONS: dict[str, Callable[[dict, Path, Path], Source]] = {
    "displacement": blip_runs,
    "segmentation": _classes,
    "classification": _with_lesion_or_without,
    "stargan": _one_of_each,
    "collagan": _subsets,
    "constrained-autoencoder": _images,
    "progressive": _whole,
    "dual-stage": _whole,
}
