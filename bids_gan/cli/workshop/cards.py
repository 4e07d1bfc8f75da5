"""``bids-gan-model list`` and ``show``: what is released."""

from __future__ import annotations

import argparse
import json


def add_parsers(commands) -> None:
    """Add the parsers of these commands to those of ``bids-gan-model``."""
    listing = commands.add_parser("list", help="released models")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print a model's card")
    show.set_defaults(run=_show)
    show.add_argument("model", help="name, or path of a .safetensors file")


def _list(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import released_cards

    for card in released_cards():
        print(f"{card.name:12} {card.version:8} {' + '.join(card.inputs)} -> {card.target}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import find_card

    print(json.dumps(find_card(options.model).text, indent=2))
    return 0
