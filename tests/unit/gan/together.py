"""Train in two processes that talk by gloo; run by ``test_distributed.py``, see ``killed.py``."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import tiny
import torch
import torch._dynamo  # or each child would import it, for its optimisers

from bids_gan.gan.training import distributed
from bids_gan.gan.training.loop import train

STEPS = 6
#: statistics are synchronised up to here, frozen from here on
SETTINGS = tiny.settings(
    STEPS, freeze_statistics=3, validate_every=1, checkpoint_every=3, best="min l1"
)


def plain(seed: int):
    """Without Adam, whose first steps blow a rounding error up to the full learning rate."""
    method = tiny.make_method(seed, critic=True)
    method.optimisers = {
        name: torch.optim.SGD(module.parameters(), 0.1) for name, module in method.modules.items()
    }
    return method


class StopError(Exception):
    pass


def run(folder: Path, rank: int, stop: int | None = None, noisy: bool = False, nan: bool = False):
    def batches(step):
        if step == stop:
            raise StopError
        batch = tiny.batch(step)
        # of so unlike shares the statistics of each are not those of both
        batch["input"][1] *= 5
        if nan:  # in the share of the second process alone
            batch["target"][1] = torch.nan
        return batch

    # each process starts from other weights: the first one's must win
    method = tiny.Noisy(rank) if noisy else plain(rank)
    with distributed.process_group("cpu") as device, suppress(StopError):
        average = train(method, batches, tiny.validation, folder, SETTINGS, device)
        modules = {"average": average, **method.modules}
        state = {f"{k}.{n}": v for k, m in modules.items() for n, v in m.state_dict().items()}
        torch.save(state, folder / f"result-{rank}.pt")


def in_children(world: int, folder: Path, **options) -> str:
    """Run in `world` processes and give their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            os.environ |= {
                "WORLD_SIZE": str(world),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            code = 1
            try:
                run(folder, rank, **options)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return "".join(str(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1])) for c in children)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    print(
        in_children(1, folder / "one"),
        in_children(2, folder / "two"),
        in_children(2, folder / "noisy", noisy=True),
        in_children(2, folder / "noisy-stopped", noisy=True, stop=5),
        in_children(2, folder / "noisy-stopped", noisy=True),
        in_children(2, folder / "nan", nan=True),
    )
