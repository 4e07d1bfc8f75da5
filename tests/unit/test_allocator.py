"""Freed memory stays with a process that trains, and leaves a worker."""

from __future__ import annotations

import subprocess
import sys

from nipype.interfaces.utility import Function
from nipype.pipeline.engine import Node, Workflow

from bids_gan.allocator import is_glibc
from bids_gan.cli.plugin import WorkerPoolPlugin

PROGRAM = """
import resource, sys
import torch
from bids_gan.allocator import keep_freed_memory
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


def hold_the_last_of_many() -> int:
    """Free a lot that the C library cannot see the end of; bytes of memory afterwards."""
    import psutil

    blocks = [bytearray(100_000) for _ in range(3000)]
    psutil.kept = blocks.pop()  # outlives the step, as a cache of a library does
    del blocks
    return psutil.Process().memory_info().rss


def memory_now(before: int) -> int:
    """Bytes of memory of the process that runs the next step, less what it was before."""
    import psutil

    return psutil.Process().memory_info().rss - before


def test_a_worker_of_the_pool_is_small_again_after_a_large_step(tmp_path):
    first = Node(Function(function=hold_the_last_of_many, output_names=["before"]), name="first")
    second = Node(Function(function=memory_now, output_names=["more"]), name="second")
    workflow = Workflow("wf", base_dir=str(tmp_path))
    workflow.connect(first, "before", second, "before")
    done = workflow.run(plugin=WorkerPoolPlugin({"n_procs": 1}))
    more = next(node.result.outputs.more for node in done.nodes if node.name == "second")
    assert (more < -200e6) == is_glibc()
