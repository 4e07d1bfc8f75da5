"""Recipes: small TOML files that say how a model is trained, and the code that follows them."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path

from bids_gan.errors import DataError, UsageError
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training import distributed
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.method import Method
from bids_gan.gan.training.pairs import PairPatches, load_person
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.registry import Card, read_card, save_model
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


def run_recipe(
    recipe: dict,
    data: Path,
    folder: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
) -> Card:
    """Train as the recipe says and write the model to `folder`.

    Parameters
    ----------
    recipe : dict
        See :func:`read_recipe`.
    data : Path
        Label maps, or a folder that ``bids-gan-model pairs`` wrote.
    folder : Path
        Receives log, checkpoints, weights and card; a run that was stopped continues there.
    steps : int, optional
        Fewer (or more) steps than the recipe's.
    minutes : float, optional
        Train for this wall time instead; see :class:`TrainingSettings`.
    device : str
    """
    import torch

    torch.manual_seed(recipe["seed"])
    network = SpaceToDepthUNet(
        recipe["network"]["in_channels"],
        recipe["network"]["out_channels"],
        tuple(recipe["network"]["widths"]),
    )
    given = {"steps": steps, "minutes": minutes}
    recipe = {
        **recipe,
        "training": recipe["training"] | {k: v for k, v in given.items() if v is not None},
    }
    card = _card(recipe)
    if recipe["method"] == "paired":
        card["RangeSeen"] = range_seen(data, recipe["people"]["train"])
    return train_network(network, recipe, data, folder, card, device)


def train_network(
    network, recipe: dict, data: Path, folder: Path, card: dict, device: str = "cpu"
) -> Card:
    """Train a network, new or not, by a recipe and write it as ``<Name of the card>``.

    Raises
    ------
    UsageError
        When `folder` holds the run of another recipe.
    """
    try:
        settings = TrainingSettings(
            **{k: v for k, v in recipe["training"].items() if k != "learning_rate"},
            seed=recipe["seed"],
        )
    except TypeError as error:
        raise UsageError(f"recipe {recipe['name']}, [training]: {error}") from None
    method = make_method(network, recipe)
    batches, validation = make_data(recipe, data)
    _keep_recipe(folder, recipe)
    average = train(method, batches, validation, folder, settings, device)
    path = folder / f"{card['Name']}.safetensors"
    if distributed.rank() == 0:
        save_model(average, path, card)
    distributed.wait_for_all()
    return read_card(path.with_suffix(".json"))


def _keep_recipe(folder: Path, recipe: dict) -> None:
    """Write the recipe beside its checkpoints, which those of another must not resume."""
    path = folder / "recipe.json"
    now = json.loads(json.dumps(recipe))
    if path.exists():
        before = json.loads(path.read_text())
        # a run may be made longer
        training = {**before["training"], **_length(now)}
        others = [k for k in now | before if k != "training" and now.get(k) != before.get(k)]
        if others or training != now["training"]:
            raise UsageError(
                f"{folder}: holds a run of another recipe ({', '.join(others) or 'training'} "
                f"differs from {path.name}); give another --output"
            )
    if distributed.rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(now, indent=2) + "\n")
        os.replace(temporary, path)


def _length(recipe: dict) -> dict:
    return {k: v for k, v in recipe["training"].items() if k in ("steps", "minutes")}


def make_method(network, recipe: dict) -> Method:
    """Method of a recipe, to train `network` with.

    Raises
    ------
    UsageError
    """
    options = {k: v for k, v in recipe["training"].items() if k == "learning_rate"}
    if recipe["method"] == "segmentation":
        return Segmentation(network, **options)
    if recipe["method"] != "paired":
        raise UsageError(f"recipe {recipe['name']}: unknown method {recipe['method']!r}")
    if adversarial := recipe.get("adversarial"):
        options |= {
            "discriminator": PatchDiscriminator(2, base=adversarial["base"]),
            "adversarial_weight": adversarial["weight"],
            "adversarial_start": adversarial["start"],
        }
    return Paired(network, **options)


def make_data(recipe: dict, data: Path):
    """Batch of a step, and batches of whole validation volumes, as two functions."""
    return (_label_data if recipe["method"] == "segmentation" else _pair_data)(recipe, data)


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
        return [load_person(data, person) for person in recipe["people"][group]]

    patches = PairPatches(
        people("train"), recipe["data"]["patch"], recipe["data"]["batch"], recipe["seed"]
    )
    unseen = people("validation")
    return patches.batch, lambda: (person.whole() for person in unseen)


def range_seen(data: Path, labels: list[str]) -> dict[str, list[float]]:
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


def _card(recipe: dict) -> dict:
    from bids_gan import __version__

    return {
        "Name": recipe["name"],
        "Version": __version__,
        "Target": recipe["target"],
        "Inputs": recipe.get("inputs", ["T1w"]),
        "Network": recipe["network"],
        "Method": recipe["method"],
        "Seed": recipe["seed"],
        "Steps": recipe["training"]["steps"],
        "People": recipe["people"],
        **recipe.get("card", {}),
        # all that fine-tuning needs to know
        "Recipe": {k: v for k, v in recipe.items() if k != "card"},
    }
