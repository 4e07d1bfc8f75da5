"""``bids-gan-model impute``: missing contrasts of a BIDS dataset."""

from __future__ import annotations

import argparse
import sys

from bids_gan.cli.lock import hold_output
from bids_gan.cli.workshop.options import add_device, add_precision, processes
from bids_gan.settings import Settings, absolute


def add_parser(commands) -> None:
    """Add the parser of this command to those of ``bids-gan-model``."""
    parser = commands.add_parser(
        "impute", help="make the contrasts that people of a BIDS dataset lack, by a CollaGAN"
    )
    parser.set_defaults(run=_impute)
    parser.add_argument("bids_dir", type=absolute, help="BIDS dataset")
    parser.add_argument("output_dir", type=absolute, help="folder of the derivatives")
    parser.add_argument("--model", required=True, help="card of a CollaGAN: RUN/collagan.json")
    parser.add_argument("--participant-label", nargs="+", default=[], help="default: everybody")
    parser.add_argument(
        "--wanted",
        nargs="+",
        default=[],
        help="contrasts to make where they are missing (default: all that the model knows); "
        "those of contrast agents cannot be made",
    )
    add_precision(parser)
    add_device(parser)


def _impute(options: argparse.Namespace) -> int:
    with processes(options) as device:
        return _impute_on(device, options)


def _impute_on(device: str, options: argparse.Namespace) -> int:
    """Impute and say what became of each session; returns the exit code."""
    from bids_gan.errors import ProcessingError
    from bids_gan.imputation.dataset import impute_dataset
    from bids_gan.models.registry import find_card

    settings = Settings(
        options.bids_dir,
        options.output_dir,
        participant_label=tuple(label.removeprefix("sub-") for label in options.participant_label),
        device=options.device,
    )
    failed = []
    card, precision = find_card(options.model), options.precision
    outcomes = impute_dataset(
        settings,
        card,
        options.wanted,
        precision=precision,
        device=device,
        alone=lambda sessions: hold_output(settings, sessions),
    )
    for outcome in outcomes:
        for warning in outcome.warnings:
            print(f"{outcome.label}: warning: {warning}", file=sys.stderr)
        for message in outcome.messages:
            print(f"{outcome.label}: {message}", flush=True)
        if outcome.error:
            failed.append(f"{outcome.label}: {outcome.error}")
    if failed:
        raise ProcessingError("; ".join(failed) + "; the others are finished")
    return 0
