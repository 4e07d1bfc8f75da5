"""The one training loop: steps, averaging, validation, and how to go on after a kill."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bids_gan.allocator import keep_freed_memory
from bids_gan.errors import DataError, TrainingError, UsageError
from bids_gan.gan.networks.layers import BATCH_NORMS, channels_last
from bids_gan.gan.training import distributed
from bids_gan.gan.training.checkpoint import load_checkpoint, save_checkpoint
from bids_gan.gan.training.figure import write_preview
from bids_gan.gan.training.log import Log
from bids_gan.gan.training.method import Method
from bids_gan.gan.training.settings import TrainingSettings

Batch = dict[str, Tensor]


def train(
    method: Method,
    batches: Callable[[int], Batch],
    validation: Callable[[], Iterable[Batch]],
    folder: Path,
    settings: TrainingSettings,
    device: str = "cpu",
) -> nn.Module:
    """Train to the end, resuming from `folder` when it holds a checkpoint.

    Parameters
    ----------
    method : Method
    batches : callable
        Gives the batch of a step; it must depend on the step alone, so that a resumed run sees
        what an undisturbed one would. Of several processes each takes its share of the rows.
    validation : callable
        Gives the validation batches, one a whole volume.
    folder : Path
        Receives checkpoints, ``log.csv`` and previews.
    settings : TrainingSettings
    device : str

    Returns
    -------
    module
        The averaged generator: the best one by ``settings.best``, or the last.

    Raises
    ------
    TrainingError
        When a loss or gradient is not finite; the batch is saved.
    """
    from tqdm import tqdm

    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(method, validation, folder, settings, device)
    stream = _Stream(batches, run.step, settings)
    done = run.agree_to_stop()
    by_clock = settings.minutes is not None
    scale = 100 / settings.steps if by_clock else 1
    with tqdm(
        total=scale * settings.steps,
        initial=int(scale * run.position),
        unit="%" if by_clock else "step",
        smoothing=0.05,
        disable=not run.first,
    ) as bar:
        while not done:
            run.advance(next(stream))
            validated = run.step % settings.validate_every == 0
            if validated:
                run.validate(stream)
            if settings.preview_every and run.step % settings.preview_every == 0:
                run.preview()
            done = run.agree_to_stop()
            if done and not validated:
                run.validate(stream)
            if done or run.step % settings.checkpoint_every == 0:
                run.save()
            bar.update(int(scale * run.position) - bar.n)
            if run.step % 20 == 0:
                steps = {"steps": run.step} if by_clock else {}
                bar.set_postfix(steps | {k: f"{v:.3f}" for k, v in run.recent.items()})
    return run.result()


class _Steps(Dataset):
    """The batches from step `start` on, each a function of its step alone."""

    def __init__(self, batches: Callable[[int], Batch], start: int, stop: int):
        self.batches = batches
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return max(self.stop - self.start, 0)

    def __getitem__(self, index: int) -> Batch:
        return self.batches(self.start + index)


class _Stream:
    """Batches prepared ahead, and how long the training waited for them."""

    def __init__(self, batches: Callable[[int], Batch], start: int, settings: TrainingSettings):
        # by the clock nobody knows how many steps there will be
        stop = settings.steps if settings.minutes is None else sys.maxsize
        self.loader = DataLoader(
            _Steps(batches, start, stop),
            batch_size=None,
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
        )
        self.iterator: Iterator[Batch] | None = None
        self.waited = 0.0
        self.since = time.monotonic()

    def __next__(self) -> Batch:
        began = time.monotonic()
        if self.iterator is None:
            self.iterator = iter(self.loader)
        batch = next(self.iterator)
        self.waited += time.monotonic() - began
        return batch

    def share_waited(self) -> float:
        """Share of the time since the last call that went by without a batch to train on."""
        now = time.monotonic()
        share = self.waited / max(now - self.since, 1e-9)
        self.waited, self.since = 0.0, now
        return share


class _Run:
    """The state of a training run, and what changes it."""

    def __init__(self, method, validation, folder, settings, device):
        self.method = method
        self.validation = validation
        self.folder = folder
        self.settings = settings
        self.device = device
        self.first = distributed.rank() == 0
        for module in method.modules.values():
            channels_last(module.to(device))
            distributed.synchronise(module)
        self.generator = method.modules["generator"]
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.rates = {
            name: [group["lr"] for group in o.param_groups]
            for name, o in method.optimisers.items()
        }
        self.step = 0
        self.seconds = 0.0
        self.recent: dict[str, float] = {}
        self.best: dict = {"value": None, "step": 0, "worse": 0, "weights": None}
        self._resume()
        self.started = time.monotonic() - self.seconds
        self.log = Log(folder, self.step) if self.first else None

    @property
    def position(self) -> int:
        """Where the run stands in its schedule; see :meth:`TrainingSettings.position`."""
        return int(self.settings.position(self.step, self.seconds))

    def agree_to_stop(self) -> bool:
        """Whether it is over; all processes follow the clock and the validation of the first."""
        patience = self.settings.patience
        stop = bool(patience) and self.best["worse"] >= patience
        now = time.monotonic() - self.started
        self.seconds, stop = distributed.from_first([now, float(stop)], self.device)
        return bool(stop) or self.position >= self.settings.steps

    def advance(self, batch: Batch) -> None:
        """One step of every optimiser."""
        settings = self.settings
        seed = np.random.SeedSequence([settings.seed, self.step, distributed.rank()])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))
        factor = settings.learning_rate_factor(settings.position(self.step, self.seconds))
        for name, optimiser in self.method.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self.rates[name], strict=True):
                group["lr"] = rate * factor
        for module in self.method.modules.values():
            module.train()
            if self.position >= settings.freeze_statistics:
                freeze_batch_norm(module)
        for key, value in self._descend(distributed.share_of_batch(batch)).items():
            self.recent[key] = 0.96 * self.recent.get(key, value) + 0.04 * value
        self._update_average()
        self.step += 1

    def _descend(self, batch: Batch) -> dict[str, float]:
        batch = self._to_device(batch)
        with self._autocast():
            losses = self.method.losses(batch, self.position)
        values = {}
        for name, terms in losses.items():
            optimiser, module = self.method.optimisers[name], self.method.modules[name]
            optimiser.zero_grad(set_to_none=True)
            sum(terms.values()).backward()
            distributed.average_gradients(module)
            # one limit a group: what one part of a network learns must not hold up another
            norms = [
                float(nn.utils.clip_grad_norm_(group["params"], 1.0))
                for group in optimiser.param_groups
            ]
            terms = {term: float(value.detach()) for term, value in terms.items()}
            terms = distributed.mean_over_processes(terms, self.device)
            if not np.isfinite([*norms, *terms.values()]).all():
                self._stop_at(batch, name, terms, math.hypot(*norms))
            optimiser.step()
            values |= terms
        return values

    def _stop_at(self, batch: Batch, name: str, terms: dict[str, float], norm: float) -> None:
        """Save the batch that cannot be learnt from, and say where."""
        from safetensors.torch import save_file

        suffix = f"_rank-{distributed.rank()}" if distributed.world_size() > 1 else ""
        path = self.folder / f"notfinite_step-{self.step:08d}{suffix}.safetensors"
        tensors = {key: value.cpu().contiguous().clone() for key, value in batch.items()}
        save_file(tensors, path, metadata={"step": str(self.step)})
        bad = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
        source = f"{', '.join(bad)} of the batch is not finite" if bad else "the batch is finite"
        raise TrainingError(
            f"loss or gradient of the {name} is not finite at step {self.step} "
            f"({_text(terms)}, gradient norm {norm:.4g}; {source}): the batch is in {path}. "
            "Mend the data, or lower learning_rate and start from the last checkpoint"
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        if not self.first:
            return
        # a short memory at first, so that the random start is soon forgotten
        decay = min(self.settings.average_decay, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for old, new in pairs:
            old.lerp_(new, 1 - decay)
        for old, new in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            old.copy_(new)

    def validate(self, stream: _Stream) -> None:
        """Score the averaged generator, write a row of the log, remember the best."""
        if not self.first:
            return
        from tqdm import tqdm

        waiting = stream.share_waited()
        sums: dict[str, list[float]] = {}
        with torch.no_grad():
            for batch in self.validation():
                with self._autocast():  # of the network alone: data are made as for training
                    scores = self.method.score(self.average, self._to_device(batch))
                for name, value in scores.items():
                    sums.setdefault(name, []).append(value)
        scores = {name: sum(values) / len(values) for name, values in sums.items()}
        row = {
            "step": self.step,
            "minutes": (time.monotonic() - self.started) / 60,
            "learning_rate": self.method.optimisers["generator"].param_groups[0]["lr"],
            "waiting": waiting,
            **self.recent,
            **{f"validation_{name}": value for name, value in scores.items()},
        }
        self.log.add(row)
        tqdm.write(
            f"step {self.step}: {_text(self.recent)} | validation {_text(scores)} | "
            f"waited for data {waiting:.0%} of the time"
        )
        self._remember_best(scores)
        stream.since = time.monotonic()  # the validation itself waits for no batch

    def _remember_best(self, scores: dict[str, float]) -> None:
        if self.settings.best is None:
            return
        direction, _, name = self.settings.best.partition(" ")
        if name not in scores:
            known = ", ".join(scores) or "nothing: there are no validation people"
            raise UsageError(f"best: {self.settings.best!r}; the validation gives {known}")
        value = scores[name] if direction == "max" else -scores[name]
        if math.isnan(value):
            value = -math.inf
        if self.best["value"] is None or value > self.best["value"]:
            weights = {k: v.cpu().clone() for k, v in self.average.state_dict().items()}
            self.best = {"value": value, "step": self.step, "worse": 0, "weights": weights}
        else:
            self.best["worse"] += 1

    @torch.no_grad()
    def preview(self) -> None:
        """Draw what the averaged generator makes of the first validation volume."""
        batch = next(iter(self.validation()), None) if self.first else None
        if batch is None or not hasattr(self.method, "preview"):
            return
        with self._autocast():
            panels = self.method.preview(self.average, self._to_device(batch))
        path = self.folder / f"preview_step-{self.step:08d}.png"
        write_preview(path, panels, f"step {self.step}")

    def save(self) -> None:
        """Write a checkpoint."""
        for module in self.method.modules.values():
            # unlike processors drift apart by rounding; a resumed run would not know
            distributed.copy_from_first(module.state_dict().values())
        own = {k: part.state_dict() for k, part in getattr(self.method, "state", {}).items()}
        own = distributed.gather(own)
        if not self.first:
            return
        state = {
            "seconds": time.monotonic() - self.started,
            "recent": self.recent,
            "best": self.best,
            "modules": {k: m.state_dict() for k, m in self.method.modules.items()},
            "optimisers": {k: o.state_dict() for k, o in self.method.optimisers.items()},
            "average": self.average.state_dict(),
            "own": own,
        }
        save_checkpoint(self.folder, self.step, state)

    def _resume(self) -> None:
        if not self.first:
            distributed.wait_for_all()  # until the first has set damaged ones aside
        state = load_checkpoint(self.folder)
        if self.first:
            distributed.wait_for_all()
        if state is None:
            return
        try:
            for name, module in self.method.modules.items():
                module.load_state_dict(state["modules"][name])
            for name, optimiser in self.method.optimisers.items():
                optimiser.load_state_dict(state["optimisers"][name])
            self.average.load_state_dict(state["average"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(
                f"{self.folder}: its checkpoint is of another recipe ({error}); "
                "give another --output to start anew"
            ) from None
        own = state["own"][distributed.rank() % len(state["own"])]
        for name, part in getattr(self.method, "state", {}).items():
            part.load_state_dict(own[name])
        self.step, self.seconds = state["step"], state["seconds"]
        self.recent, self.best = state["recent"], state["best"]

    def result(self) -> nn.Module:
        """Close the log and give the averaged generator, the same in all processes."""
        if self.first:
            self.log.close()
            if self.best["weights"] is not None:
                self.average.load_state_dict(self.best["weights"])
        distributed.copy_from_first(self.average.state_dict().values())
        return self.average

    def _to_device(self, batch: Batch) -> Batch:
        return {key: value.to(self.device) for key, value in batch.items()}

    def _autocast(self):
        enabled = self.settings.precision == "bf16"
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=enabled)


def freeze_batch_norm(module: nn.Module) -> None:
    """Make batch normalisation use its running statistics while its weights still learn."""
    for part in module.modules():
        if isinstance(part, BATCH_NORMS):
            part.eval()


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
