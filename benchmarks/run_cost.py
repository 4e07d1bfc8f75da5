"""Time, peak memory and disk of a whole run, all processes together.

python benchmarks/run_cost.py [FOLDER ...] -- bids-gan DATA/xa30 OUT participant --nprocs 2

FOLDERs that the run writes are measured afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

#: seconds between two looks at the memory
INTERVAL = 0.5


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes
    ----------
    wall, processor : float
        Seconds; those of all processors that its processes used, added up.
    peak : int
        Bytes of memory, shared pages counted once.
    code : int
        Exit code.
    """

    wall: float
    processor: float
    peak: int
    code: int


def measure(command: list[str], **options) -> Cost:
    """Run a command; `options` are those of ``subprocess.Popen``."""
    start, peak = time.monotonic(), 0
    used: dict[int, float] = {}
    running = subprocess.Popen(command, **options)
    process = psutil.Process(running.pid)
    while running.poll() is None:
        peak = max(peak, look(process, used))
        time.sleep(INTERVAL)
    return Cost(time.monotonic() - start, sum(used.values()), peak, running.returncode)


def look(process: psutil.Process, used: dict[int, float]) -> int:
    """Memory of a process and its descendants now, in bytes; what each `used` so far, in seconds.

    Pages that processes share are divided among them.
    """
    total = 0
    try:
        parts = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for part in parts:
        try:
            times = part.cpu_times()
            used[part.pid] = times.user + times.system
            total += part.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def disk(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file())


def main() -> int:
    place = sys.argv.index("--")
    cost = measure(sys.argv[place + 1 :])
    print(
        f"wall time {cost.wall:.0f} s, processor time {cost.processor:.0f} s, "
        f"peak memory {cost.peak / 2**20:.0f} MiB, exit {cost.code}"
    )
    for folder in sys.argv[1:place]:
        print(f"{folder}: {disk(folder) / 1e6:.0f} MB")
    return cost.code


if __name__ == "__main__":
    sys.exit(main())
