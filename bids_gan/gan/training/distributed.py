"""Several processes by ``torchrun``: each takes a share of every batch, gradients are averaged.

All functions do nothing, or the obvious, in a single process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bids_gan.errors import UsageError


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the processes that ``torchrun`` started; gives the device of this one.

    Parameters
    ----------
    device : str
        ``cpu`` (the processes talk by gloo) or ``cuda`` (NCCL, one GPU a process).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # the others wait while the first validates
    dist.init_process_group(
        "nccl" if device.startswith("cuda") else "gloo", timeout=timedelta(hours=2)
    )
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world_size() > 1:
        dist.barrier()


def share_of_batch(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Cut out this process's rows of a batch.

    Raises
    ------
    UsageError
        When the rows cannot be dealt evenly.
    """
    rows = len(next(iter(batch.values())))
    size, rest = divmod(rows, world_size())
    if rest:
        raise UsageError(
            f"a batch of {rows} cannot be dealt to {world_size()} processes: change `batch` in "
            "the recipe's [data], or torchrun's --nproc-per-node"
        )
    start = rank() * size
    return {key: value[start : start + size] for key, value in batch.items()}


def mean_over_processes(values: dict[str, float], device: str) -> dict[str, float]:
    """Average numbers that every process has."""
    if world_size() == 1:
        return values
    total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return dict(zip(values, (total / world_size()).tolist(), strict=True))


def from_first(values: list[float], device: str) -> list[float]:
    """Return the numbers of the first process in all of them."""
    if world_size() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return shared.tolist()


def gather(value) -> list:
    """Objects of all processes, in the order of their ranks."""
    if world_size() == 1:
        return [value]
    values = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace each gradient by its mean over the processes."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    _spread(flat / world_size(), gradients)


@torch.no_grad()
def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by those of the first process."""
    if world_size() == 1:
        return
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault(tensor.dtype, []).append(tensor)
    for same in kinds.values():
        flat = torch.cat([t.reshape(-1) for t in same])
        dist.broadcast(flat, 0)
        _spread(flat, same)


def _spread(flat: Tensor, tensors: list[Tensor]) -> None:
    for part, tensor in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True):
        tensor.copy_(part.view(tensor.shape))


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over the processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.apply(gradient)


class _Synchronised:
    """Batch normalisation by the statistics of all processes' shares together.

    torch has its own for GPUs only.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, ...); the shares must be of one size."""
        if not self.training:
            return super().forward(x)
        axes, shape = (0, *range(2, x.dim())), (1, -1, *(1,) * (x.dim() - 2))
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            variances, means = torch.var_mean(values, axes, correction=0)
            own = torch.stack([means, variances])
            # each process fills its own row of a table, and the sum has all rows
            table = torch.stack(
                [own if r == rank() else torch.zeros_like(own) for r in range(world_size())]
            )
            means, variances = _SumOverProcesses.apply(table).unbind(1)
            mean = means.mean(0)
            variance = (variances + (means - mean).square()).mean(0)
            count = world_size() * x.numel() / x.shape[1]
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * count / (count - 1), self.momentum)
                self.num_batches_tracked += 1
            scale = self.weight * torch.rsqrt(variance + self.eps)
            centred = values - mean.view(shape)
            return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


class SynchronisedBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """For slices."""


class SynchronisedBatchNorm3d(_Synchronised, nn.BatchNorm3d):
    """For volumes."""


_SYNCHRONISED = {
    nn.BatchNorm2d: SynchronisedBatchNorm2d,
    nn.BatchNorm3d: SynchronisedBatchNorm3d,
}


def synchronise(module: nn.Module) -> None:
    """Let every process start from the first one's weights, and batch normalisation see all."""
    if world_size() == 1:
        return
    copy_from_first(module.state_dict().values())
    for part in module.modules():
        if type(part) in _SYNCHRONISED:
            # in place of a new module: optimisers and state dicts know this one's tensors
            part.__class__ = _SYNCHRONISED[type(part)]
