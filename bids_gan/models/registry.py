"""Find, check and load released models: weights as ``safetensors``, a JSON card beside each."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bids_gan.errors import ModelError
from bids_gan.text import load_json

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent
#: targets of models that make no image for users
NO_CONTRAST = ("anatomy", "displacement")
#: what a card must hold
_CARD = {
    "Name": str,
    "Version": str,
    "Target": str,
    "Inputs": list,
    "Network": dict,
    "WeightsSHA256": str,
}


@dataclass(frozen=True)
class Card:
    """What is known of a model without loading its weights.

    Attributes
    ----------
    name, version : str
    target : str
        Contrast it makes (``FA``), or one of :data:`NO_CONTRAST`.
    inputs : tuple of str
    network : dict
        Arguments of the network class.
    sha256 : str
        Of the weight file.
    weights : Path
    text : dict
        The whole card.
    """

    name: str
    version: str
    target: str
    inputs: tuple[str, ...]
    network: dict
    sha256: str
    weights: Path
    text: dict

    @property
    def path(self) -> Path:
        """Of the card itself."""
        return self.weights.with_suffix(".json")

    @property
    def identity(self) -> dict[str, str]:
        """What tells this model from every other, for the card of one that began with it."""
        return {"Name": self.name, "Version": self.version, "WeightsSHA256": self.sha256}


@dataclass(frozen=True)
class Model:
    """A network ready for inference, with its card."""

    network: nn.Module
    card: Card


def read_card(path: Path) -> Card:
    """Read the JSON card of a weight file.

    Raises
    ------
    ModelError
        When the card is missing, lacks a key or holds one of a wrong type.
    """
    try:
        text = load_json(path)
        wrong = [key for key, kind in _CARD.items() if not isinstance(text[key], kind)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} of a wrong type")
        return Card(
            name=text["Name"],
            version=text["Version"],
            target=text["Target"],
            inputs=tuple(text["Inputs"]),
            network=text["Network"],
            sha256=text["WeightsSHA256"],
            weights=path.with_suffix(".safetensors"),
            text=text,
        )
    except FileNotFoundError:
        raise ModelError(f"{path}: no such model card; each .safetensors needs one") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a model card ({error!r})") from None


def released_cards() -> list[Card]:
    """Cards of the models that come with the package, by name."""
    return [read_card(path) for path in sorted(FOLDER.glob("*.json"))]


def available_targets() -> tuple[str, ...]:
    """Contrasts that a released model can make."""
    return tuple(card.target for card in released_cards() if card.target not in NO_CONTRAST)


def find_card(name_or_path: str) -> Card:
    """Card of a released model by name, or of a user's own by path.

    Raises
    ------
    ModelError
    """
    path = Path(name_or_path)
    if path.suffix in {".json", ".safetensors"}:
        return read_card(path.with_suffix(".json"))
    for card in released_cards():
        if card.name == name_or_path:
            return card
    names = ", ".join(card.name for card in released_cards()) or "none"
    raise ModelError(
        f"--model {name_or_path}: no such model; released are {names}, "
        "or give the path of a .safetensors file with its .json card beside it"
    )


def card_for_target(target: str, chosen: tuple[str, ...] = ()) -> Card:
    """Card of the model that makes `target`: the user's choice first, then the released one."""
    for card in [*(find_card(name) for name in chosen), *released_cards()]:
        if card.target == target:
            return card
    accepted = ", ".join(available_targets())
    raise ModelError(f"no model makes {target}; --targets accepts {accepted}")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({error.strerror})") from None


def check_weights(card: Card) -> None:
    """Compare the weight file of a model with the checksum of its card.

    Raises
    ------
    ModelError
        When the file is missing or altered.
    """
    found = file_sha256(card.weights)
    if found != card.sha256:
        raise ModelError(
            f"{card.weights}: SHA-256 is {found}, the card says {card.sha256}; "
            "the file was altered or damaged, install the package again"
        )


def load_model(card: Card) -> Model:
    """Load a network for inference, its batch normalisation folded; see :func:`load_network`."""
    from bids_gan.gan.networks.unet import fold_batch_norm

    return Model(fold_batch_norm(load_network(card)).requires_grad_(False), card)


def load_network(card: Card) -> nn.Module:
    """Load a network as it was trained, after its checksum was verified.

    Raises
    ------
    ModelError
        When the file is missing, altered, or does not fit the network its card describes.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from bids_gan.gan.networks.factory import build_network

    check_weights(card)
    try:
        stored = load_file(card.weights)
        weights = {name: value.to(torch.float32) for name, value in stored.items()}
        network = build_network(card.network)
        network.load_state_dict(weights, strict=False)
        missing = {k for k in network.state_dict() if not k.endswith("num_batches_tracked")}
        if missing != set(weights):
            raise RuntimeError(f"tensors differ: {sorted(missing ^ set(weights))[:4]}")
    except (RuntimeError, SafetensorError, ValueError) as error:
        raise ModelError(f"{card.weights}: does not fit its card ({error})") from None
    return network


def save_model(network: nn.Module, path: Path, card: dict) -> Card:
    """Write weights (bfloat16) and card; the checksum is added to the card.

    Parameters
    ----------
    network : module
        With its batch normalisation not yet folded.
    path : Path
        Of the ``.safetensors`` file.
    card : dict
        ``Name``, ``Version``, ``Target``, ``Inputs``, ``Network`` and what else is worth saying.
    """
    import torch
    from safetensors.torch import save

    weights = {
        name: value.to(torch.bfloat16).contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    # the library's own writer leaves a file that nobody else may read
    temporary.write_bytes(save(weights, metadata={"name": card["Name"]}))
    text = {**card, "WeightsSHA256": file_sha256(temporary)}
    os.replace(temporary, path)
    # the card last: without it the weights are not found
    return write_card(path.with_suffix(".json"), text)


def write_card(path: Path, text: dict) -> Card:
    """Write the JSON card of a weight file, whole or not at all."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(text, indent=2) + "\n")
    os.replace(temporary, path)
    return read_card(path)
