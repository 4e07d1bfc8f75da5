"""Recipes: small TOML files that say how a model is trained, and the code that follows them."""

from __future__ import annotations

import sys
from pathlib import Path

from bids_gan.errors import UsageError
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.loop import TrainingSettings, train
from bids_gan.models.data import Folders, range_seen, training_data
from bids_gan.models.registry import Card, save_model

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "recipes"
#: tables of a recipe that the card repeats
_IN_CARD = {"output": "Output", "people": "People", "label_maps": "LabelMaps"}


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


def run_recipe(recipe: dict, folders: Folders, folder: Path, steps: int | None = None) -> Card:
    """Train as the recipe says and write the model to `folder`.

    Parameters
    ----------
    recipe : dict
        See :func:`read_recipe`.
    folders : Folders
        Where the training data are.
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
    elif recipe["method"] == "paired":
        if adversarial:
            options |= {
                "discriminator": PatchDiscriminator(2, base=adversarial["base"]),
                "adversarial_weight": adversarial["weight"],
                "adversarial_start": adversarial["start"],
            }
        method = Paired(network, value_range=recipe["output"]["range"], **options)
    else:
        raise UsageError(f"recipe {recipe['name']}: unknown method {recipe['method']!r}")
    settings = TrainingSettings(**training, seed=recipe["seed"])
    card = _card(recipe, settings)
    if "people" in recipe:
        card["RangeSeen"] = range_seen(folders.pairs, recipe["people"]["train"])
    batches, validation = training_data(recipe, folders)
    average = train(method, batches, validation, folder, settings)
    return save_model(average, folder / f"{recipe['name']}.safetensors", card)


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
        **{name: recipe[key] for key, name in _IN_CARD.items() if key in recipe},
        **recipe.get("card", {}),
    }
