"""Fine-tuning: a few small steps from a released model towards one's own scanner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan.errors import ModelError, UsageError
from bids_gan.models.data import Folders
from bids_gan.models.recipe import train_network
from bids_gan.models.registry import Card, load_network
from bids_gan.models.seen import range_seen
from bids_gan.pairs.store import read_summary

if TYPE_CHECKING:
    from torch import nn

#: choice -> beginnings of the names of the parameters that learn
LAYERS = {
    "all": ("",),
    "decoder": ("up.", "head."),
    "head": ("head.",),
    "statistics": (),
}
#: what a parent's card says that no longer holds
STALE = ("WeightsSHA256", "Metrics", "Commit", "LabelMaps")


def choose_layers(network: nn.Module, layers: str) -> None:
    """Let only some parameters learn.

    Parameters
    ----------
    network : module
        A :class:`~bids_gan.gan.networks.unet.SpaceToDepthUNet`, not folded.
    layers : {'all', 'decoder', 'head', 'statistics'}
        ``statistics`` are mean, variance, scale and shift of the batch normalisation.

    Raises
    ------
    UsageError
    """
    from bids_gan.gan.networks.layers import BATCH_NORMS

    if layers not in LAYERS:
        raise UsageError(f"--layers {layers}: accepted are {', '.join(LAYERS)}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(bool(LAYERS[layers]) and name.startswith(LAYERS[layers]))
    if layers == "statistics":
        for module in network.modules():
            if isinstance(module, BATCH_NORMS):
                module.requires_grad_(True)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(f"--layers {layers}: this network has none; use --layers all")


def finetune_recipe(
    card: Card,
    people: Sequence[str],
    *,
    validation: Sequence[str] = (),
    layers: str = "all",
    steps: int = 300,
    learning_rate: float = 3e-4,
) -> dict:
    """Derive the recipe of a fine-tuning from the card of its parent.

    Raises
    ------
    ModelError
        When the card does not say how the model was trained.
    UsageError
        When it was not trained by the method ``paired``, with pairs measured or simulated.
    """
    if "Recipe" not in card.text:
        raise ModelError(
            f"{card.path}: no Recipe in this card, so nobody knows how to train it further"
        )
    parent = card.text["Recipe"]
    if parent["method"] != "paired":
        raise UsageError(
            f"{card.name}: trained by the method {parent['method']}; only those of `paired` "
            "can be fine-tuned"
        )
    # the parent's critic was not released, and a few steps do not make another
    recipe = {k: v for k, v in parent.items() if k in ("method", "target", "output", "seed")}
    training = {k: v for k, v in parent["training"].items() if k in ("precision", "workers")}
    return recipe | {
        "name": f"{parent['name']}-finetuned",
        "parent": card.identity,
        "layers": layers,
        "inputs": list(card.inputs),
        "network": card.network,
        "data": {k: parent["data"][k] for k in ("patch", "batch")},
        "people": {"train": list(people), "validation": list(validation), "test": []},
        "training": training
        | {
            "steps": steps,
            "learning_rate": learning_rate,
            # of so few people the parent's statistics are better than their own
            "freeze_statistics": steps // 2 if layers == "statistics" else 0,
            "warmup": min(20, steps),
            "validate_every": max(steps // 5, 1),
            "average_decay": 0.98,
        }
        | ({"best": "min l1"} if validation else {}),
    }


def finetune(card: Card, data: Path, folder: Path, recipe: dict, device: str = "cpu") -> Card:
    """Train a model further and write the new one to `folder`.

    Parameters
    ----------
    card : Card
        Of the parent.
    data : Path
        Folder that ``bids-gan-model pairs`` wrote.
    folder : Path
        Receives log, checkpoints, weights and card; a run that was stopped continues there.
    recipe : dict
        See :func:`finetune_recipe`.
    device : str
    """
    import torch

    torch.manual_seed(recipe["seed"])
    network = load_network(card)
    choose_layers(network, recipe["layers"])
    people = recipe["people"]["train"]
    training = recipe["training"]
    text = {k: v for k, v in card.text.items() if k not in STALE} | {
        "Name": recipe["name"],
        "Parent": recipe["parent"],
        "Layers": recipe["layers"],
        "LearningRate": training["learning_rate"],
        "People": recipe["people"],
        **range_seen(data, people),
        "Targets": f"{_targets(data, people)}; its parent's: {card.text.get('Targets')}",
        "Data": f"fine-tuned on {len(people)} people's pairs; its parent on: "
        f"{card.text.get('Data')}",
        "Reproduce": f"bids-gan-model finetune {card.name} --data PAIRS --output RUN "
        f"--people {' '.join(people)} --layers {recipe['layers']} "
        f"--steps {training['steps']} --learning-rate {training['learning_rate']:g}",
        "Recipe": recipe,
    }
    return train_network(network, recipe, Folders(pairs=data), folder, text, device)


def _targets(data: Path, people: Sequence[str]) -> str:
    """What the pairs say of their targets."""
    cards = [read_summary(data, label) for label in people]
    kinds = {"pseudo-targets" if card.get("Synthetic") else "measured" for card in cards}
    return " and ".join(sorted(kinds))
