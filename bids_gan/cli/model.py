"""``bids-gan-model``: the workshop in which the generators are made."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bids_gan import __version__
from bids_gan.errors import BidsGanError


def get_parser() -> argparse.ArgumentParser:
    """Parser of ``bids-gan-model``."""
    parser = argparse.ArgumentParser(
        prog="bids-gan-model", description="Make, measure and list generators."
    )
    parser.add_argument("--version", action="version", version=f"bids-gan {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    pairs = commands.add_parser(
        "pairs", help="T1w + pseudo-target pairs from a BIDS dataset and a template"
    )
    pairs.add_argument("bids_dir", type=Path, help="BIDS dataset with T1w images")
    pairs.add_argument("output_dir", type=Path)
    pairs.add_argument("--template", type=Path, required=True, help="mean FA image in MNI space")
    pairs.add_argument("--participant-label", nargs="+", default=None)

    train = commands.add_parser("train", help="train a model by a recipe")
    train.add_argument("recipe", help="name of a recipe of the package, or a TOML file")
    train.add_argument("--data", type=Path, required=True, help="training data folder")
    train.add_argument("--output", type=Path, required=True, help="folder of the run")
    train.add_argument("--steps", type=int, default=None, help="instead of the recipe's number")
    train.add_argument(
        "--minutes", type=float, default=None, help="wall time to train for instead of steps"
    )
    _add_device(train)

    finetune = commands.add_parser(
        "finetune", help="train a model further on your scanner's pairs"
    )
    finetune.add_argument("model", help="name, or path of a .safetensors file")
    finetune.add_argument("--data", type=Path, required=True, help="folder of pairs")
    finetune.add_argument("--people", nargs="+", required=True, help="labels to learn from")
    finetune.add_argument("--validation", nargs="+", default=(), help="labels to pick the best by")
    finetune.add_argument("--output", type=Path, required=True, help="folder of the run")
    finetune.add_argument(
        "--layers", default="all", choices=("all", "decoder", "head", "statistics")
    )
    finetune.add_argument("--steps", type=int, default=300)
    finetune.add_argument("--learning-rate", type=float, default=3e-4)
    _add_device(finetune)

    evaluate = commands.add_parser(
        "evaluate", help="synthetic against measured FA of a person, beside baselines"
    )
    evaluate.add_argument("t1w", type=Path)
    evaluate.add_argument("measured_fa", type=Path, help="undistorted FA in the same world space")
    evaluate.add_argument("--mask", type=Path, required=True, help="where to score, on FA's grid")
    evaluate.add_argument("--template", type=Path, required=True, help="mean FA image, MNI space")
    evaluate.add_argument("--model", default="t1w-to-fa")

    commands.add_parser("list", help="released models")
    show = commands.add_parser("show", help="print a model's card")
    show.add_argument("model", help="name, or path of a .safetensors file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run ``bids-gan-model``; returns the exit code."""
    options = get_parser().parse_args(argv)
    os.environ.setdefault("ANTS_RANDOM_SEED", "1")
    try:
        return COMMANDS[options.command](options)
    except BidsGanError as error:
        print(f"bids-gan-model: {error}", file=sys.stderr)
        return error.exit_code


def _pairs(options: argparse.Namespace) -> int:
    from bids_gan.simulate.pairs import write_pairs

    write_pairs(options.bids_dir, options.output_dir, options.template, options.participant_label)
    return 0


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    parser.add_argument("--threads", type=int, default=None, help="processor threads")


@contextmanager
def _processes(options: argparse.Namespace) -> Iterator[str]:
    """Device of this process, alone or as one of those that torchrun started."""
    import torch

    from bids_gan.gan.training.distributed import process_group
    from bids_gan.synthesis.device import choose_device

    if options.threads:
        torch.set_num_threads(options.threads)
    with process_group(choose_device(options.device)) as device:
        yield device


def _train(options: argparse.Namespace) -> int:
    from bids_gan.models.recipe import read_recipe, run_recipe

    with _processes(options) as device:
        card = run_recipe(
            read_recipe(options.recipe),
            options.data,
            options.output,
            steps=options.steps,
            minutes=options.minutes,
            device=device,
        )
    print(f"wrote {card.weights}")
    return 0


def _finetune(options: argparse.Namespace) -> int:
    from bids_gan.models.finetune import finetune, finetune_recipe
    from bids_gan.models.registry import find_card

    parent = find_card(options.model)
    recipe = finetune_recipe(
        parent,
        options.people,
        validation=options.validation,
        layers=options.layers,
        steps=options.steps,
        learning_rate=options.learning_rate,
    )
    with _processes(options) as device:
        card = finetune(parent, options.data, options.output, recipe, device)
    print(f"wrote {card.weights}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from bids_gan.evaluate.synthesis import evaluate_person

    print(
        evaluate_person(
            options.t1w, options.measured_fa, options.mask, options.template, options.model
        )
    )
    return 0


def _list(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import released_cards

    for card in released_cards():
        print(f"{card.name:12} {card.version:8} {' + '.join(card.inputs)} -> {card.target}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from bids_gan.models.registry import find_card

    print(json.dumps(find_card(options.model).text, indent=2))
    return 0


COMMANDS = {
    "pairs": _pairs,
    "train": _train,
    "finetune": _finetune,
    "evaluate": _evaluate,
    "list": _list,
    "show": _show,
}

if __name__ == "__main__":
    sys.exit(main())
