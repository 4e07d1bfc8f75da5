"""``bids-gan-model``: the workshop in which the generators are made."""

from __future__ import annotations

import argparse
import os
import sys

from bids_gan import __version__
from bids_gan.cli.workshop import cards, data, evaluate, impute, memory, tiling, training
from bids_gan.errors import BidsGanError


def get_parser() -> argparse.ArgumentParser:
    """Parser of ``bids-gan-model``."""
    parser = argparse.ArgumentParser(
        prog="bids-gan-model", description="Make, measure and list generators."
    )
    parser.add_argument("--version", action="version", version=f"bids-gan {__version__}")
    commands = parser.add_subparsers(required=True)
    data.add_parsers(commands)
    training.add_parsers(commands)
    evaluate.add_parser(commands)
    tiling.add_parser(commands)
    memory.add_parser(commands)
    impute.add_parser(commands)
    cards.add_parsers(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run ``bids-gan-model``; returns the exit code."""
    options = get_parser().parse_args(argv)
    os.environ.setdefault("ANTS_RANDOM_SEED", "1")
    try:
        return options.run(options)
    except BidsGanError as error:
        print(f"bids-gan-model: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
