"""Models of one kind that were trained apart become one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_gan.errors import ModelError
from bids_gan.models.registry import Card, load_network, save_model


def join(cards: Sequence[Card], path: Path) -> Card:
    """Write a model whose members are given ones; see :class:`Committee`.

    Parameters
    ----------
    cards : sequence of Card
        Of networks of one architecture that tell a displacement: what several of them say is put
        together by :func:`bids_gan.gan.methods.displacement.displacement_heads`.
    path : Path
        Of the ``.safetensors`` file.

    Returns
    -------
    Card
        What the members' cards have in common, and the rest of each under ``Members``.

    Raises
    ------
    ModelError
        When they are fewer than two, or cannot be joined.
    """
    from bids_gan.gan.networks.committee import Committee

    if len(cards) < 2:
        raise ModelError(f"{cards[0].path}: a committee has two members at least")
    for card in cards:
        if card.target != "displacement" or "members" in card.network:
            raise ModelError(
                f"{card.path}: only single networks that tell a displacement can be joined"
            )
        if (card.network, card.inputs) != (cards[0].network, cards[0].inputs):
            raise ModelError(f"{card.path}: another network than {cards[0].path}")
    committee = Committee(load_network(card) for card in cards)
    common = {
        key: value
        for key, value in cards[0].text.items()
        if all(card.text.get(key) == value for card in cards)
    }
    members = [
        {key: value for key, value in card.text.items() if key not in common} for card in cards
    ]
    network = cards[0].network | {"members": len(cards)}
    text = common | {"Name": path.stem, "Network": network, "Members": members}
    return save_model(committee, path, text)
