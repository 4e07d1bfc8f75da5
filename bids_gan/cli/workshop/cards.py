"""``bids-gan-model list``, ``show`` and ``range``: what is known of models."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_parsers(commands) -> None:
    """Add the parsers of these commands to those of ``bids-gan-model``."""
    listing = commands.add_parser("list", help="released models")
    listing.set_defaults(run=_list)
    show = commands.add_parser("show", help="print a model's card")
    show.set_defaults(run=_show)
    show.add_argument("model", help="name, or path of a .safetensors file")
    seen = commands.add_parser(
        "range",
        help="note in cards what the T1w of the training looked like, with which a run compares "
        "each person's",
    )
    seen.set_defaults(run=_note_range)
    seen.add_argument(
        "bids_dir", type=Path, help="the T1w: for label maps, what `simulate` made of them"
    )
    seen.add_argument("models", nargs="+", help="cards that are changed: RUN/NAME.json")


def _list(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import released_cards

    for card in released_cards():
        print(f"{card.name:12} {card.version:8} {' + '.join(card.inputs)} -> {card.target}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import find_card

    print(json.dumps(find_card(options.model).text, indent=2))
    return 0


def _note_range(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import find_card, write_card
    from bids_gan.models.seen import measure_range

    cards = [find_card(model) for model in options.models]
    seen = measure_range(options.bids_dir)
    for card in cards:
        write_card(card.path, card.text | seen)
    print(json.dumps(seen, indent=2))
    return 0
