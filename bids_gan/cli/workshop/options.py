"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add where to compute."""
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]")
    parser.add_argument("--threads", type=int, default=None, help="processor threads")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Add in what to compute."""
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))


@contextmanager
def processes(options: argparse.Namespace) -> Iterator[str]:
    """Device of this process, alone or as one of those that torchrun started."""
    import torch

    from bids_gan.gan.training.distributed import process_group
    from bids_gan.synthesis.device import choose_device

    if options.threads:
        torch.set_num_threads(options.threads)
    with process_group(choose_device(options.device)) as device:
        yield device
