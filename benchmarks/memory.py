"""Predicted against measured memory, of inference and training, each in a new process.

python benchmarks/memory.py [RECIPE ...]
"""

from __future__ import annotations

import argparse

from bids_gan.models import memory
from bids_gan.models.recipe import read_recipe

VOLUMES = ((96, 112, 96), (160, 192, 160))
TILES = (None, 64)


def row(what: str, predicted: int, measured: int) -> None:
    ratio = predicted / measured - 1
    print(
        f"| {what} | {predicted / 2**20:.0f} | {measured / 2**20:.0f} | {ratio:+.0%} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", default=["t1w-to-fa", "t1w-to-t2w", "pix2pix"])
    parser.add_argument("--training", action="store_true", help="in the recipe's precision, alone")
    options = parser.parse_args()
    print("| | predicted MiB | measured MiB | |\n|---|---|---|---|")
    for name in options.recipes:
        recipe = read_recipe(name)
        patch, batch = recipe["data"]["patch"], recipe["data"]["batch"]
        own = recipe["training"].get("precision", "bf16")
        for precision in (own,) if options.training else ("bf16", "fp32"):
            for shape in () if options.training else VOLUMES:
                for tile in TILES:
                    case = (recipe, shape, precision, tile)
                    what = f"{name}, inference {shape} {f'in {tile}³ ' if tile else ''}{precision}"
                    row(what, memory.plan_inference(*case).peak, memory.measure_inference(*case))
            case = (recipe, patch, batch, precision)
            what = f"{name}, training {batch} × {patch}³ {precision}"
            row(what, memory.plan_training(*case).peak, memory.measure_training(*case))


if __name__ == "__main__":
    main()
