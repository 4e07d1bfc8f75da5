"""What a training step costs with and without keeping the memory of freed tensors.

    python benchmarks/allocator.py --steps 12

Each way in a process of its own, one after the other, with the network and batch of the anatomy
recipe; the first third of the steps does not count.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch

from bids_gan.allocator import keep_freed_memory
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.methods import make_method
from bids_gan.models.recipe import read_recipe


def seconds_and_pages(steps: int) -> tuple[float, int]:
    """Processor time and page faults of a training step."""
    torch.manual_seed(0)
    recipe = read_recipe("anatomy")
    patch, batch = recipe["data"]["patch"], recipe["data"]["batch"]
    method = make_method(build_network(recipe["network"]), recipe)
    example = {
        "input": torch.rand(batch, 1, patch, patch, patch),
        "labels": torch.randint(recipe["network"]["out_channels"], (batch, patch, patch, patch)),
    }
    for step in range(steps):
        if step == steps // 3:
            before = resource.getrusage(resource.RUSAGE_SELF)
        with torch.autocast("cpu", torch.bfloat16):
            terms = method.losses(example, step)["generator"]
        method.optimisers["generator"].zero_grad()
        sum(terms.values()).backward()
        method.optimisers["generator"].step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    counted = steps - steps // 3
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / counted, (after.ru_minflt - before.ru_minflt) // counted


def main() -> None:
    """Print a row for each way, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--way", choices=("returned", "kept"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        torch.set_num_threads(1)
        if options.way == "kept":
            keep_freed_memory()
        print(*seconds_and_pages(options.steps))
        return
    print(
        "| memory of freed tensors | processor seconds a step | pages a step |",
        "|---|---|---|",
        sep="\n",
    )
    used = []
    for way in ("returned", "kept"):
        command = [sys.executable, __file__, "--steps", str(options.steps), "--way", way]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, pages = result.stdout.split()
        used.append(float(seconds))
        print(f"| {way} | {float(seconds):.2f} | {pages} |")
    print(f"kept over returned: {used[1] / used[0]:.2f}")


if __name__ == "__main__":
    main()
