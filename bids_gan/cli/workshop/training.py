"""``bids-gan-model train`` and ``finetune``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bids_gan.cli.workshop.options import add_device, processes


def add_parsers(commands) -> None:
    """Add the parsers of these commands to those of ``bids-gan-model``."""
    train = commands.add_parser("train", help="train a model by a recipe")
    train.set_defaults(run=_train)
    train.add_argument("recipe", help="name of a recipe of the package, or a TOML file")
    train.add_argument("--data", type=Path, help="pairs, as `bids-gan-model pairs` wrote them")
    train.add_argument("--label-maps", type=Path, help="whole-head label maps")
    train.add_argument("--output", type=Path, required=True, help="folder of the run")
    train.add_argument("--steps", type=int, default=None, help="instead of the recipe's number")
    train.add_argument(
        "--minutes", type=float, default=None, help="wall time to train for instead of steps"
    )
    train.add_argument("--start", help="model whose weights to begin with, as far as they fit")
    train.add_argument(
        "--baseline",
        choices=("pix2pix", "cyclegan"),
        help="train this classical GAN on the recipe's data instead, to compare with",
    )
    add_device(train)

    finetune = commands.add_parser(
        "finetune", help="train a model further on your scanner's pairs"
    )
    finetune.set_defaults(run=_finetune)
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
    add_device(finetune)


def _train(options: argparse.Namespace) -> int:
    from bids_gan.models.baseline import baseline_of
    from bids_gan.models.data import Folders
    from bids_gan.models.recipe import read_recipe, run_recipe

    recipe = read_recipe(options.recipe)
    if options.baseline:
        recipe = baseline_of(recipe, options.baseline)
    with processes(options) as device:
        card = run_recipe(
            recipe,
            Folders(options.data, options.label_maps),
            options.output,
            steps=options.steps,
            minutes=options.minutes,
            start=options.start,
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
    with processes(options) as device:
        card = finetune(parent, options.data, options.output, recipe, device)
    print(f"wrote {card.weights}")
    return 0
