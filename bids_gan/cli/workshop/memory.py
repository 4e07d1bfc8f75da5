"""``bids-gan-model plan-memory``: what a network will need."""

from __future__ import annotations

import argparse

from bids_gan.cli.workshop.options import add_precision


def add_parser(commands) -> None:
    """Add the parser of this command to those of ``bids-gan-model``."""
    memory = commands.add_parser(
        "plan-memory", help="predict the memory that training and inference need"
    )
    memory.set_defaults(run=_plan_memory)
    memory.add_argument("model", help="recipe or released model, by name or path")
    memory.add_argument("--volume", type=int, nargs=3, default=(160, 192, 160), help="voxels")
    memory.add_argument("--tile", type=int, default=None, help="edge of cubes; else at once")
    memory.add_argument("--patch", type=int, default=None, help="instead of the recipe's")
    memory.add_argument("--batch", type=int, default=None, help="instead of the recipe's")
    memory.add_argument("--memory-gb", type=float, default=None, help="say what fits into it")
    add_precision(memory)


def _plan_memory(options: argparse.Namespace) -> int:
    from bids_gan.errors import UsageError
    from bids_gan.gan.inference import choose_precision
    from bids_gan.models import memory

    recipe = memory.find_recipe(options.model)
    shape, at_inference = tuple(options.volume), choose_precision(options.precision)
    data, training = recipe.get("data", {}), recipe.get("training", {})
    patch, batch = options.patch or data.get("patch"), options.batch or data.get("batch")
    at_training = training.get("precision", "bf16")
    if options.precision != "auto":
        at_training = options.precision
    size = "×".join(map(str, shape)) + (f" in {options.tile}³" if options.tile else "")
    columns = {}
    if memory.takes_any_size(recipe):
        columns[f"inference {size}, {at_inference}"] = memory.plan_inference(
            recipe, shape, at_inference, options.tile
        )
    if memory.can_plan_training(recipe):
        columns[f"training {batch} × {patch}³, {at_training}"] = memory.plan_training(
            recipe, patch, batch, at_training
        )
    if not columns:
        raise UsageError(
            f"{options.model}: its steps depend on its images and cannot be predicted"
        )
    print(memory.memory_table(columns))
    print(f"Python and its libraries need {memory.libraries() / 2**20:.0f} MiB besides.")
    if options.memory_gb is not None:
        budget = round(options.memory_gb * 2**30)
        precisions = (at_inference, at_training)
        for line in memory.memory_advice(recipe, shape, batch, precisions, budget):
            print(f"{options.memory_gb:g} GiB, {line}")
    return 0
