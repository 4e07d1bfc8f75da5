"""Recipes: small TOML files that say how a model is trained, and the code that follows them."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from bids_gan.errors import DataError, UsageError
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.loop import TrainingSettings, train
from bids_gan.gan.training.pairs import PairPatches, Person
from bids_gan.models.registry import Card, save_model
from bids_gan.pairs.store import read_pair
from bids_gan.simulate.labels import LabelPatches, load_label_map

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "recipes"


def read_recipe(name_or_path: str) -> dict:
    """Read a recipe of the package by name, or a user's own by path.

    Raises
    ------
    UsageError
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = FOLDER / f"{name_or_path}.toml"
    if not path.exists():
        names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"recipe {name_or_path}: no such file; the package has {names}")
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None


def run_recipe(recipe: dict, data: Path, folder: Path, steps: int | None = None) -> Card:
    """Train as the recipe says and write the model to `folder`.

    Parameters
    ----------
    recipe : dict
        See :func:`read_recipe`.
    data : Path
        Label maps, or a folder that ``bids-gan-model pairs`` wrote.
    folder : Path
        Receives log, checkpoint, weights and card; a run that was stopped continues there.
    steps : int, optional
        Fewer (or more) steps than the recipe's.
    """
    import torch

    torch.manual_seed(recipe["seed"])
    training = dict(recipe["training"])
    options = {k: training.pop(k) for k in ("learning_rate",) if k in training}
    if steps is not None:
        training["steps"] = steps
    adversarial = recipe.get("adversarial")
    network = SpaceToDepthUNet(
        recipe["network"]["in_channels"],
        recipe["network"]["out_channels"],
        tuple(recipe["network"]["widths"]),
    )
    if recipe["method"] == "segmentation":
        method = Segmentation(network, **options)
        batches, validation = _label_data(recipe, data)
    elif recipe["method"] == "paired":
        if adversarial:
            options |= {
                "discriminator": PatchDiscriminator(2, base=adversarial["base"]),
                "adversarial_weight": adversarial["weight"],
                "adversarial_start": adversarial["start"],
            }
        method = Paired(network, **options)
        batches, validation = _pair_data(recipe, data)
    else:
        raise UsageError(f"recipe {recipe['name']}: unknown method {recipe['method']!r}")
    settings = TrainingSettings(**training, seed=recipe["seed"])
    card = _card(recipe, settings)
    if recipe["method"] == "paired":
        card["RangeSeen"] = _range_seen(data, recipe["people"]["train"])
    average = train(method, batches, validation, folder, settings)
    return save_model(average, folder / f"{recipe['name']}.safetensors", card)


def _label_data(recipe: dict, data: Path):
    def maps(group: str):
        return [
            load_label_map(_one(data, f"*seg_{person}.nii.gz"))
            for person in recipe["people"][group]
        ]

    options = recipe["data"]
    spacing, seed = options["spacing"], recipe["seed"]
    patches = LabelPatches(maps("train"), options["patch"], options["batch"], spacing, seed)
    unseen = LabelPatches(maps("validation"), 96, 1, spacing, seed + 1)
    return patches.batch, lambda: (unseen.batch(step) for step in range(8))


def _pair_data(recipe: dict, data: Path):
    def people(group: str):
        return [_person(data, label) for label in recipe["people"][group]]

    patches = PairPatches(
        people("train"), recipe["data"]["patch"], recipe["data"]["batch"], recipe["seed"]
    )
    unseen = people("validation")
    return patches.batch, lambda: (person.whole() for person in unseen)


def _person(data: Path, label: str) -> Person:
    pair = read_pair(data, label)
    volumes = [pair.t1w, pair.target, pair.mask, pair.supervised]
    return Person.of(volumes, pair.to_mni @ pair.affine, pair.thickness)


def _range_seen(data: Path, labels: list[str]) -> dict[str, list[float]]:
    """Mean and standard deviation of what the inputs looked like; at least 10 % of the mean."""
    people = [json.loads((data / f"sub-{k}" / "pair.json").read_text()) for k in labels]
    result = {}
    for name in people[0]["Appearance"]:
        values = [person["Appearance"][name] for person in people]
        mean = statistics.fmean(values)
        result[name] = [round(mean, 4), round(max(statistics.pstdev(values), 0.1 * mean), 4)]
    return result


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"{folder}: {len(found)} files match {pattern}, one is needed")
    return found[0]


def _card(recipe: dict, settings: TrainingSettings) -> dict:
    from bids_gan import __version__

    return {
        "Name": recipe["name"],
        "Version": __version__,
        "Target": recipe["target"],
        "Inputs": recipe.get("inputs", ["T1w"]),
        "Network": recipe["network"],
        "Method": recipe["method"],
        "Seed": recipe["seed"],
        "Steps": settings.steps,
        "People": recipe["people"],
        **recipe.get("card", {}),
    }
