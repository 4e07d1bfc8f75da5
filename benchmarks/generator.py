"""Time and memory of the generator on a 1 mm brain, bf16 against fp32 in one run.

python benchmarks/generator.py
"""

from __future__ import annotations

import resource
import statistics
import time

import numpy as np
import torch

from bids_gan.gan.inference import choose_precision, run_network
from bids_gan.models.registry import find_card, load_model

SHAPE = (160, 192, 160)
RUNS = 5


def main() -> None:
    torch.set_num_threads(2)
    model = load_model(find_card("t1w-to-fa"))
    volume = np.random.default_rng(0).random((4, *SHAPE), dtype=np.float32)
    seconds: dict[str, list[float]] = {"bf16": [], "fp32": []}
    precisions = [choose_precision("auto")]
    # the released precision first: the peak of the process is then its own
    for precision in [*precisions, *({"bf16", "fp32"} - set(precisions))]:
        run_network(model.network, volume, precision)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{precision}: peak memory of the process so far {peak:.0f} MiB")
    for _ in range(RUNS):
        for precision, values in seconds.items():
            start = time.perf_counter()
            run_network(model.network, volume, precision)
            values.append(time.perf_counter() - start)
    for precision, values in seconds.items():
        print(f"{precision}: median {statistics.median(values):.2f} s, least {min(values):.2f} s")


if __name__ == "__main__":
    main()
