"""Freed memory of tensors stays with the process."""

from __future__ import annotations

import subprocess
import sys

from bids_gan.gan.training.allocator import is_glibc

PROGRAM = """
import resource, sys
import torch
from bids_gan.gan.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(60):  # the C library takes several to settle
    before = faults()
    torch.ones(16 << 20)
print(faults() - before)
"""


def faults(how: str) -> int:
    """Pages that the last of several large tensors had to be given."""
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_large_tensor_needs_no_new_pages_the_next_time_on_glibc_and_only_there():
    assert (faults("keep") < faults("leave") / 10) == is_glibc()
