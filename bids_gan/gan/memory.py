"""How much memory a network needs, found without computing anything.

The very code that trains or infers runs on tensors that have a size but no content; what is added
up is when each of them would be allocated and freed.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bids_gan.gan.inference import CHANNELS_LAST, infer
from bids_gan.gan.training.method import Method

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
#: what oneDNN and the allocator set up at the first use
STARTUP = 16 * 2**20
#: share of the tensors on the heap that is held besides, in gaps left by freed ones: measured, it
#: varies; training leaves long-lived tensors between short-lived ones
GAPS = {"inference": 0.2, "training": 0.4}
#: blocks of this size and more go back to the system when they are freed (glibc's limit)
MAPPED = 32 * 2**20
_aten = torch.ops.aten


@dataclass(frozen=True)
class Footprint:
    """Memory in bytes, apart from Python and its libraries.

    Attributes
    ----------
    parts : dict of str to int
        What takes it up at the moment when most is needed.
    """

    parts: dict[str, int]

    @property
    def peak(self) -> int:
        """Most that is needed at once."""
        return sum(self.parts.values())


class AllocationTracker(TorchDispatchMode):
    """Adds up the tensors that are alive.

    Attributes
    ----------
    now, peak : int
        Bytes alive, and the most that ever were.
    heap : int
        Most that ever were in blocks too small to go back to the system when they are freed.

    Notes
    -----
    Where the code asks for a value (whether a cube is empty, how thick a slice is) the answer is
    one, since tensors without content have none; of a tensor that was filled with a value, as the
    size to which a network has grown, it is that value.
    """

    def __init__(self):
        super().__init__()
        self.now = 0
        self.peak = 0
        self.heap = 0
        self._on_heap = 0
        self._alive: dict[int, int] = {}
        self._filled: dict[int, float] = {}

    def restart(self) -> None:
        """Forget what was alive before."""
        self.peak, self.heap = self.now, self._on_heap

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Run an operation and note what it returns."""
        if operation is _aten._local_scalar_dense.default:
            return self._filled.get(id(args[0].untyped_storage()), 1)
        if operation is _aten.fill_.Scalar:
            self._filled[id(args[0].untyped_storage())] = args[1]
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._allocated(leaf.untyped_storage())
        self.peak = max(self.peak, self.now + _workspace(operation, args, result))
        return result

    def _allocated(self, storage: torch.UntypedStorage) -> None:
        key = id(storage)
        if key not in self._alive:
            self._count(storage.nbytes())
            self._alive[key] = storage.nbytes()
            weakref.finalize(storage, self._freed, key)

    def _freed(self, key: int) -> None:
        self._filled.pop(key, None)
        self._count(-self._alive.pop(key))

    def _count(self, size: int) -> None:
        self.now += size
        if abs(size) < MAPPED:
            self._on_heap += size
            self.heap = max(self.heap, self._on_heap)


def _workspace(operation, args: tuple, result) -> int:
    """Bytes that a convolution of oneDNN allocates for itself.

    It copies an input that is not stored as its output is (channels last or not). Backward, in
    bfloat16, it also rearranges the input and the gradient of the output.
    """
    if operation is _aten.convolution.default:
        image, like = args[0], result
        return 0 if _layout(image) == _layout(like) else _size(image)
    if operation is _aten.convolution_backward.default:
        gradient, image, weight = args[:3]
        copied = [x for x in (gradient, image) if _layout(x) != _layout(weight)]
        rearranged = [gradient, image] if image.dtype is torch.bfloat16 else []
        return sum(map(_size, copied + rearranged))
    return 0


def _layout(x: Tensor) -> torch.memory_format:
    last = CHANNELS_LAST.get(x.dim(), torch.contiguous_format)
    return last if x.is_contiguous(memory_format=last) else torch.contiguous_format


def _size(x: Tensor) -> int:
    return x.numel() * x.element_size()


@contextmanager
def without_content():
    """Inside, tensors have no content; gives the tracker of their memory."""
    with FakeTensorMode(), AllocationTracker() as tracker:
        yield tracker


def inference_memory(
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    precision: str,
    tile: int | None = None,
    overlap: float = 0.25,
    neighbours: int = 0,
) -> Footprint:
    """Memory of :func:`bids_gan.gan.inference.run_network`.

    Parameters
    ----------
    build : callable
        Makes the network.
    shape : (C, I, J, K) tuple
        Of the input.
    precision : {'bf16', 'fp32'}
    tile, overlap, neighbours
        See :func:`bids_gan.gan.inference.infer`.
    """
    with without_content() as tracker, torch.no_grad():
        network = build().eval()
        _convert(network, _DTYPES[precision])
        parameters = tracker.now
        volume = torch.empty(shape)
        x = volume.to(_DTYPES[precision]).unsqueeze(0)
        given = tracker.now - parameters
        tracker.restart()
        y = infer(_First(network), x, tile, overlap, neighbours)
        made = _size(y)
    return Footprint(
        {
            "parameters": parameters,
            "input": given,
            "output": made,
            "responses": tracker.peak - parameters - given - made,
            "allocator": STARTUP + round(GAPS["inference"] * tracker.heap),
        }
    )


class _First(nn.Module):
    """A network that is run on the first tile only: all others cost the same."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.shapes: dict[torch.Size, torch.Size] = {}

    def forward(self, x: Tensor) -> Tensor:
        if x.shape not in self.shapes:
            y = self.network(x)
            self.shapes[x.shape] = y.shape
            return y
        return x.new_empty(self.shapes[x.shape])


def training_memory(
    build: Callable[[], Method], batch: Callable[[], dict[str, Tensor]], step: int, precision: str
) -> Footprint:
    """Memory of a step of :func:`bids_gan.gan.training.loop.train` in its own process.

    Parameters
    ----------
    build : callable
        Makes the method and its networks.
    batch : callable
        Makes a batch.
    step : int
        In which every part of the method is at work.
    precision : {'bf16', 'fp32'}
    """
    with without_content() as tracker:
        method = build()
        method.optimisers.clear()  # they hold the weights as they were before their conversion
        for module in method.modules.values():
            _convert(module.train(), torch.float32)
        gc.collect()
        parameters = tracker.now
        learnt = sum(_bytes(module) for module in method.modules.values())
        for module in method.modules.values():
            for weight in module.parameters():  # the last step's gradients are still there
                weight.grad = torch.empty_like(weight)
        given = batch()
        inputs = tracker.now - parameters - learnt
        tracker.restart()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            losses = method.losses(given, step)
        kept = tracker.now - parameters - learnt - inputs
        for name, terms in losses.items():
            method.modules[name].zero_grad(set_to_none=True)
            sum(terms.values()).backward()
        passing = tracker.peak - parameters - learnt - inputs - kept
        average = _bytes(method.modules["generator"])
    return Footprint(
        {
            "parameters": parameters,
            "moving average": average,
            "gradients": learnt,
            "optimiser": 2 * learnt,  # the two moments of Adam
            "batch": inputs,
            "kept for backward": kept,
            "passing": passing,
            "allocator": STARTUP + round(GAPS["training"] * (tracker.heap + average + 2 * learnt)),
        }
    )


def _bytes(module: nn.Module) -> int:
    return sum(map(_size, module.parameters()))


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """What ``module.to(dtype, memory_format)`` does, which refuses tensors without content."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = nn.Parameter(_stored(value.detach(), dtype))
        for name, value in part._buffers.items():
            if value is not None and value.is_floating_point():
                part._buffers[name] = _stored(value, dtype)


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    layout = CHANNELS_LAST.get(value.dim(), torch.preserve_format)
    return value.to(dtype, memory_format=layout)
