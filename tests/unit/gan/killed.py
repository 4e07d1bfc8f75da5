"""Train in child processes that SIGKILL themselves; run by ``test_resume.py``.

One interpreter forks all children before it computes anything, which spares importing torch for
each of them.
"""

import os
import signal
import sys
from pathlib import Path

import tiny
import torch
import torch._dynamo  # or each child would import it, for its optimisers

from bids_gan.gan.training.loop import train

STEPS = 14


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run(folder: Path, seed: int, kill_at: int | None = None, while_writing: bool = False):
    def batches(step):
        if step == kill_at and not while_writing:
            die()
        return tiny.batch(step)

    if while_writing:
        replace = os.replace
        os.replace = lambda a, b: die() if f"-{kill_at:08d}_" in str(b) else replace(a, b)
    settings = tiny.settings(STEPS, checkpoint_every=3, best="min l1")
    average = train(tiny.Noisy(seed), batches, tiny.validation, folder, settings)
    torch.save(average.state_dict(), folder / "result.pt")


def in_child(*arguments, **options) -> int:
    """Signal that ended the run, or 0."""
    child = os.fork()
    if child == 0:
        run(*arguments, **options)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    ends = [
        in_child(folder / "undisturbed", 0),
        in_child(folder / "killed", 0, kill_at=2),  # before the first checkpoint
        in_child(folder / "killed", 0, kill_at=7),
        in_child(folder / "killed", 1, kill_at=9, while_writing=True),
        # what the network starts from must not matter once there is a checkpoint
        in_child(folder / "killed", 2, kill_at=13),
        in_child(folder / "killed", 3),
    ]
    print(*ends)
