"""What a recipe or a released model needs of memory, and what would fit into how much."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bids_gan.errors import UsageError
from bids_gan.gan.inference import run_network
from bids_gan.gan.memory import Footprint, inference_memory, training_memory
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import FOLDER, read_recipe
from bids_gan.models.registry import find_card

#: sizes that are tried are multiples of this
STEP = 16
#: channels that an input of a recipe has, where it is not one
_CHANNELS = {"position": 3, "wanted": 0}
#: kinds of networks that are made for images of one size
ONE_SIZE = ("autoencoder", "progressive", "dual-stage")
#: methods whose steps depend on values of the batch, or whose images are no cubes: tensors without
#: content cannot go through
BY_VALUE = ("collagan", "displacement")


def find_recipe(name: str) -> dict:
    """Recipe of that name or path; or that of a model, which may be without a method.

    Raises
    ------
    UsageError, ModelError
        When there is neither.
    """
    if Path(name).suffix == ".toml" or (FOLDER / f"{name}.toml").exists():
        return read_recipe(name)
    card = find_card(name)
    described = {"name": card.name, "network": card.network, "inputs": list(card.inputs)}
    return card.text.get("Recipe", described)


def input_channels(recipe: dict) -> int:
    """Channels of the image that a recipe's generator is shown."""
    return sum(_CHANNELS.get(name, 1) for name in recipe.get("inputs", ["T1w"]))


def dimensions(recipe: dict) -> int:
    """2 of a recipe for slices, 3 of one for volumes."""
    return recipe["network"].get("dimensions", 3)


def recipe_neighbours(recipe: dict) -> int:
    """Slices to either side that a recipe's network is given besides."""
    return recipe["network"].get("neighbours", 0)


def example_batch(recipe: dict, patch: int, batch: int) -> dict[str, Tensor]:
    """A batch with all keys that the training data of the methods have: noise, masks of ones."""
    space = (patch,) * dimensions(recipe)
    contrasts = len(recipe.get("simulation", {}).get("contrasts", "1"))
    given = input_channels(recipe) * (1 + 2 * recipe_neighbours(recipe))
    channels = {"input": given, "contrasts": contrasts}
    masks = ("mask", "supervised", "target_mask")
    channels |= dict.fromkeys(("target", "acquired", "shift"), 1)
    whole_numbers = ("thickness", "contrast", "wanted", "classes")
    return {
        **{key: torch.rand(batch, n, *space) for key, n in channels.items()},
        **{key: torch.ones(batch, 1, *space) for key in masks},
        **{key: torch.ones(batch, dtype=torch.long) for key in whole_numbers},
        "given": torch.ones(batch, contrasts),
        "labels": torch.ones(batch, *space, dtype=torch.long),
    }


def takes_any_size(recipe: dict) -> bool:
    """Whether volumes and patches of any size go through a recipe's generator."""
    return recipe["network"].get("kind") not in ONE_SIZE


def can_plan_training(recipe: dict) -> bool:
    """Whether a recipe trains, by a method whose steps are the same for all values."""
    return "method" in recipe and recipe["method"] not in BY_VALUE


def plan_inference(
    recipe: dict,
    shape: tuple[int, int, int],
    precision: str,
    tile: int | None = None,
    overlap: float = 0.25,
) -> Footprint:
    """Memory of the generator on a volume; see :func:`~bids_gan.gan.memory.inference_memory`."""
    return inference_memory(
        lambda: build_network(recipe["network"]),
        (_volume_channels(recipe), *shape),
        precision,
        tile,
        overlap,
        recipe_neighbours(recipe),
    )


def plan_training(recipe: dict, patch: int, batch: int, precision: str) -> Footprint:
    """Memory of a training step of a recipe, its method's other networks included.

    Raises
    ------
    UsageError
        For another `patch` than the recipe's, when its networks are made for images of one size.
    """
    own = recipe["data"]["patch"]
    if patch != own and not takes_any_size(recipe):
        raise UsageError(
            f"--patch {patch}: the networks of {recipe['name']} are made for patches of {own}"
        )
    return training_memory(
        lambda: make_method(build_network(recipe["network"]), recipe),
        lambda: example_batch(recipe, patch, batch),
        recipe["training"]["steps"],
        precision,
    )


def largest_that_fits(needed: Callable[[int], float], budget: int, most: int) -> int | None:
    """Largest multiple of 16 up to `most` that needs no more than `budget`; None when none does.

    Parameters
    ----------
    needed : callable
        Size -> bytes, growing with the size.
    budget : int
        In bytes.
    most : int
    """
    low, high = 0, max(most // STEP, 1)
    while low < high:
        middle = (low + high + 1) // 2
        if needed(middle * STEP) <= budget:
            low = middle
        else:
            high = middle - 1
    return low * STEP or None


def measure_inference(
    recipe: dict, shape: tuple[int, int, int], precision: str, tile: int | None = None
) -> int:
    """Bytes that inference really takes, of an untrained network in a new process."""
    return _measured(_infer, recipe, shape, precision, tile)


def measure_training(recipe: dict, patch: int, batch: int, precision: str, steps: int = 2) -> int:
    """Bytes that training really takes, without its data, in a new process."""
    return _measured(_train, recipe, patch, batch, precision, steps)


def _infer(recipe: dict, shape: tuple, precision: str, tile: int | None) -> None:
    volume = np.ones((_volume_channels(recipe), *shape), np.float32)
    network = build_network(recipe["network"]).eval()
    run_network(network, volume, precision, tile=tile, neighbours=recipe_neighbours(recipe))


def _train(recipe: dict, patch: int, batch: int, precision: str, steps: int) -> None:
    method = make_method(build_network(recipe["network"]), recipe)
    position = {"steps": steps, "freeze_statistics": steps, "workers": 0, "preview_every": 0}
    settings = TrainingSettings(**position, validate_every=steps + 1, precision=precision)
    losses, last = method.losses, recipe["training"]["steps"]
    # as at the end of the recipe, where every part of the method is at work
    method.losses = lambda given, step: losses(given, last)
    method.score = lambda network, given: {}
    with tempfile.TemporaryDirectory() as folder:
        data = example_batch(recipe, patch, batch)
        train(method, lambda step: data, lambda: (), Path(folder), settings)


def _measured(work: Callable, *arguments) -> int:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_growth, torch.get_num_threads(), work, arguments).result()


def _growth(threads: int, work: Callable, arguments: tuple) -> int:
    """Peak of the resident memory while at work, above that of the imported libraries."""
    torch.set_num_threads(threads)
    torch.optim.Adam([torch.ones(1, requires_grad=True)])  # imports what is imported at first use
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    work(*arguments)
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def _volume_channels(recipe: dict) -> int:
    """Channels of the volume that inference is given; neighbouring slices are made from it."""
    network = recipe["network"]
    if network.get("kind") == "collagan":
        return 2 * network["contrasts"]
    return network.get("in_channels", input_channels(recipe))


def libraries() -> int:
    """Bytes of this process: Python and the libraries, as long as nothing else was loaded."""
    import psutil

    return psutil.Process(os.getpid()).memory_info().rss


def memory_table(columns: dict[str, Footprint]) -> str:
    """Footprints side by side in MiB, as Markdown."""
    rows = list(dict.fromkeys(part for footprint in columns.values() for part in footprint.parts))
    lines = ["| MiB | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = (_mib(f.parts[row]) if row in f.parts else "–" for f in columns.values())
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    total = (_mib(footprint.peak) for footprint in columns.values())
    return "\n".join([*lines, "| **together** | " + " | ".join(total) + " |"])


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"


def memory_advice(
    recipe: dict, shape: tuple[int, int, int], batch: int, precisions: tuple[str, str], budget: int
) -> list[str]:
    """Which cube, and which patch, would fit into a budget.

    Parameters
    ----------
    recipe : dict
    shape : tuple of int
        Of the volume.
    batch : int
        Patches a step.
    precisions : (str, str)
        Of inference and of training.
    budget : int
        In bytes, Python and its libraries included.
    """
    if not takes_any_size(recipe):
        return ["the network is made for images of one size"]
    left = budget - libraries()
    at_inference, at_training = precisions
    if plan_inference(recipe, shape, at_inference).peak <= left:
        lines = ["inference: the whole volume fits"]
    else:
        tile = largest_that_fits(
            lambda size: plan_inference(recipe, shape, at_inference, size).peak, left, max(shape)
        )
        lines = [f"inference: {f'cubes of {tile} fit' if tile else 'not even cubes of 16 fit'}"]
    if can_plan_training(recipe):

        def needed(patch: int) -> float:
            try:
                return plan_training(recipe, patch, batch, at_training).peak
            except (ValueError, RuntimeError):  # smaller than the network can take
                return float("inf")

        patch = largest_that_fits(needed, left, 256)
        fits = f"patches of {patch} fit" if patch else "not even patches of 16 fit"
        lines.append(f"training: {fits}, {batch} a step")
    return lines
