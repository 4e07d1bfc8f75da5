"""What a run takes as people are added: growth.py DATA SCRATCH 1 10 50.

DATA comes from ``tests/hpc/people.py DATA 50``. The last column is what each person more than in
the row above took, in seconds of processor: the same in all rows where time is linear in people.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from run_cost import disk, measure

OPTIONS = ["--skip-bids-validation", "--nprocs", "2", "--omp-nthreads", "1"]


def main() -> None:
    data, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    numbers = [int(number) for number in sys.argv[3:]]
    labels = sorted(path.name for path in data.glob("sub-*"))
    if max(numbers) > len(labels):
        sys.exit(f"{data} holds {len(labels)} people")
    print("| people | wall s | processor s | peak MiB | output MB | work MB | s a person added |")
    print("|---|---|---|---|---|---|---|")
    before = (0, 0.0)
    for number in numbers:
        shutil.rmtree(scratch, ignore_errors=True)
        out, work = scratch / "out", scratch / "work"
        command = ["bids-gan", str(data), str(out), "participant", *OPTIONS]
        command += ["--work-dir", str(work), "--participant-label", *labels[:number]]
        cost = measure(command, stdout=subprocess.DEVNULL)
        if cost.code:
            sys.exit(f"{number} people: exit code {cost.code}")
        added = (cost.processor - before[1]) / (number - before[0])
        print(
            f"| {number} | {cost.wall:.0f} | {cost.processor:.0f} | {cost.peak / 2**20:.0f} "
            f"| {disk(out) / 1e6:.1f} | {disk(work) / 1e6:.0f} | {added:.1f} |",
            flush=True,
        )
        before = (number, cost.processor)


if __name__ == "__main__":
    main()
