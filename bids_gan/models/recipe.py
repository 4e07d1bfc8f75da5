"""Recipes: small TOML files that say how a model is trained, and the code that follows them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bids_gan.errors import UsageError
from bids_gan.gan.heads import RANGES
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.training import distributed
from bids_gan.gan.training.log import steps_done
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.data import Folders, needed_folder, training_data
from bids_gan.models.methods import make_method
from bids_gan.models.registry import Card, find_card, read_card, save_model
from bids_gan.models.scans import target_tones
from bids_gan.models.seen import range_seen
from bids_gan.models.start import take_weights
from bids_gan.synthesis.generate import REFERENCES
from bids_gan.text import load_toml

FOLDER = Path(__file__).parent / "recipes"
#: tables of a recipe that the card repeats
_IN_CARD = {"start": "Start", "output": "Output", "people": "People", "label_maps": "LabelMaps"}


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
        return load_toml(path)
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from None


def run_recipe(
    recipe: dict,
    folders: Folders,
    folder: Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    start: str | None = None,
    device: str = "cpu",
) -> Card:
    """Train as the recipe says and write the model to `folder`.

    Parameters
    ----------
    recipe : dict
        See :func:`read_recipe`.
    folders : Folders
        Where the training data are.
    folder : Path
        Receives log, checkpoints, weights and card; a run that was stopped continues there.
    steps : int, optional
        Fewer (or more) steps than the recipe's.
    minutes : float, optional
        Train for this wall time instead; see :class:`TrainingSettings`.
    start : str, optional
        Name or path of a model to begin with instead of the recipe's, see
        :func:`~bids_gan.models.start.take_weights`.
    device : str
    """
    import torch

    _check_output(recipe)
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
    if start := start or recipe.get("start"):
        parent = find_card(start)
        take_weights(network, parent)
        recipe["start"] = parent.identity
    card = _card(recipe)
    if "people" in recipe:
        card |= range_seen(
            needed_folder(folders.pairs, "--data", recipe), recipe["people"]["train"]
        )
    if "scanners" in recipe.get("simulation", {}):
        maps = needed_folder(folders.label_maps, "--label-maps", recipe)
        card["Tones"] = target_tones(recipe, maps, folder / "cache").round(4).tolist()
    return train_network(network, recipe, folders, folder, card, device)


def train_network(
    network, recipe: dict, folders: Folders, folder: Path, card: dict, device: str = "cpu"
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
    batches, validation = training_data(recipe, folders, folder / "cache")
    _keep_recipe(folder, recipe)
    average = train(method, batches, validation, folder, settings, device)
    average = getattr(average, "there", average)  # the wanted one of CycleGAN's two generators
    path = folder / f"{card['Name']}.safetensors"
    if distributed.rank() == 0:
        # by the clock, and by patience, it is not the number of the recipe
        save_model(average, path, {**card, "Steps": steps_done(folder)})
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


def _check_output(recipe: dict) -> None:
    """Refuse a range or reference that nobody knows."""
    for key, known in (("range", RANGES), ("reference", REFERENCES)):
        value = recipe.get("output", {}).get(key)
        if value is not None and value not in known:
            raise UsageError(
                f"recipe {recipe['name']}, [output]: {key} = {value!r}; accepted are "
                f"{', '.join(known)}"
            )


def _length(recipe: dict) -> dict:
    return {k: v for k, v in recipe["training"].items() if k in ("steps", "minutes")}


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
        **({"Minutes": recipe["training"]["minutes"]} if "minutes" in recipe["training"] else {}),
        **{name: recipe[key] for key, name in _IN_CARD.items() if key in recipe},
        **recipe.get("card", {}),
        # all that fine-tuning needs to know
        "Recipe": {k: v for k, v in recipe.items() if k != "card"},
    }
