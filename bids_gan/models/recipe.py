"""Recipes: small TOML files that say how a model is trained, and the code that follows them."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from bids_gan.errors import DataError, UsageError
from bids_gan.gan.methods.cyclegan import CycleGAN
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.pix2pix import Pix2Pix
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.training import distributed
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.pairs import PairPatches, Person
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.gan.training.unpaired import UnpairedPatches
from bids_gan.models.registry import Card, read_card, save_model
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
    try:
        network = build_network(recipe["network"])
    except ValueError as error:
        raise UsageError(f"recipe {recipe['name']}, [network]: {error}") from None
    given = {"steps": steps, "minutes": minutes}
    recipe = {
        **recipe,
        "training": recipe["training"] | {k: v for k, v in given.items() if v is not None},
    }
    card = _card(recipe)
    if recipe["data"]["kind"] == "pairs":
        card["RangeSeen"] = range_seen(data, recipe["people"]["train"])
    return train_network(network, recipe, data, folder, card, device)


def train_network(
    network, recipe: dict, data: Path, folder: Path, card: dict, device: str = "cpu"
) -> Card:
    """Train a network, new or not, by a recipe and write it as ``<Name of the card>``."""
    training = dict(recipe["training"])
    options = {k: training.pop(k) for k in ("learning_rate",) if k in training}
    try:
        settings = TrainingSettings(**training, seed=recipe["seed"])
    except TypeError as error:
        raise UsageError(f"recipe {recipe['name']}, [training]: {error}") from None
    adversarial = recipe.get("adversarial")
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
    elif recipe["method"] in ("pix2pix", "cyclegan"):
        method = _classical(network, recipe, **options)
        batches, validation = _pair_data(recipe, data)
    else:
        raise UsageError(f"recipe {recipe['name']}: unknown method {recipe['method']!r}")
    average = train(method, batches, validation, folder, settings, device)
    average = getattr(average, "there", average)  # the wanted one of CycleGAN's two generators
    path = folder / f"{card['Name']}.safetensors"
    if distributed.rank() == 0:
        save_model(average, path, card)
    distributed.wait_for_all()
    return read_card(path.with_suffix(".json"))


def _classical(network, recipe: dict, **options) -> Pix2Pix | CycleGAN:
    """Method of the classical baselines, with its other networks."""
    base = recipe["adversarial"]["base"]
    options |= {"value_range": recipe["value_range"], "tile": recipe["data"]["patch"]}
    if recipe["method"] == "pix2pix":
        channels = recipe["network"]["in_channels"]
        critic = PatchDiscriminator(2, base)
        return Pix2Pix(network, critic, channels=channels, **options)
    back = build_network(recipe["network"])
    critics = PatchDiscriminator(1, base), PatchDiscriminator(1, base)
    return CycleGAN(network, back, *critics, **options)


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

    train_people = people("train")
    sampling = (recipe["data"]["patch"], recipe["data"]["batch"], recipe["seed"])
    if recipe["method"] == "cyclegan":
        patches = UnpairedPatches(train_people, train_people, *sampling)
    else:
        patches = PairPatches(train_people, *sampling)
    unseen = people("validation")
    return patches.batch, lambda: (person.whole() for person in unseen)


def _person(data: Path, label: str) -> Person:
    pair = read_pair(data, label)
    volumes = [pair.t1w, pair.target, pair.mask, pair.supervised]
    return Person.of(volumes, pair.to_mni @ pair.affine, pair.thickness)


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

    budget = {"Minutes": recipe["training"]["minutes"]} if "minutes" in recipe["training"] else {}
    return {
        "Name": recipe["name"],
        "Version": __version__,
        "Target": recipe["target"],
        "Inputs": recipe.get("inputs", ["T1w"]),
        "Network": recipe["network"],
        "Method": recipe["method"],
        "Seed": recipe["seed"],
        "Steps": recipe["training"]["steps"],
        **budget,
        "Sampling": recipe["data"],
        "ValueRange": recipe.get("value_range", "fraction"),
        "People": recipe["people"],
        **recipe.get("card", {}),
    }
