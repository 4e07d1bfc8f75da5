"""Wall time and peak memory of a whole run, all processes together.

python benchmarks/run_cost.py -- bids-gan DATA/xa30 OUT participant --nprocs 2
"""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

INTERVAL = 0.2


def resident(process: psutil.Process) -> int:
    """Memory of a process and its children in bytes, shared pages divided among them."""
    total = 0
    for part in [process, *process.children(recursive=True)]:
        try:
            total += part.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def main() -> int:
    command = sys.argv[sys.argv.index("--") + 1 :]
    start = time.time()
    running = subprocess.Popen(command)
    process, peak = psutil.Process(running.pid), 0
    while running.poll() is None:
        try:
            peak = max(peak, resident(process))
        except psutil.Error:
            break
        time.sleep(INTERVAL)
    code = running.wait()
    print(
        f"wall time {time.time() - start:.0f} s, peak memory {peak / 2**20:.0f} MiB, exit {code}"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
