"""``bids-gan-model tiling``: what inference in tiles changes."""

from __future__ import annotations

import argparse
from pathlib import Path

from bids_gan.cli.workshop.options import add_device, add_precision, processes


def add_parser(commands) -> None:
    """Add the parser of this command to those of ``bids-gan-model``."""
    tiling = commands.add_parser(
        "tiling", help="how far an image made in tiles lies from the whole volume's"
    )
    tiling.set_defaults(run=_tiling)
    tiling.add_argument("model", help="name or path of a model; a recipe with --untrained")
    tiling.add_argument("t1w", type=Path, nargs="?", help="of a person; else the MNI152 template")
    tiling.add_argument("--untrained", action="store_true", help="random weights, by a recipe")
    tiling.add_argument("--tiles", type=int, nargs="+", default=[32, 64, 96], help="voxels")
    tiling.add_argument("--overlaps", type=float, nargs="+", default=[0, 25, 50], help="percent")
    add_precision(tiling)
    add_device(tiling)


def _tiling(options: argparse.Namespace) -> int:
    from bids_gan.evaluate.tiling import tiling_table
    from bids_gan.models.memory import find_recipe
    from bids_gan.models.tiling import measured_anatomy, template_anatomy, tile_model

    anatomy = measured_anatomy(options.t1w) if options.t1w else template_anatomy()
    with processes(options) as device:
        results = tile_model(
            options.model,
            anatomy,
            options.tiles,
            [percent / 100 for percent in options.overlaps],
            untrained=options.untrained,
            precision=options.precision,
            device=device,
        )
        print(
            tiling_table(
                list(results), find_recipe(options.model).get("card", {}).get("Units", "")
            )
        )
    return 0
