"""The one training loop: schedule, averaging, checkpoints, log, validation."""

from __future__ import annotations

import copy
import csv
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


@dataclass(frozen=True)
class TrainingSettings:
    """What the loop needs to know, whatever the method.

    Attributes
    ----------
    steps : int
        Optimisation steps in all.
    freeze_statistics : int
        Step from which batch normalisation uses its running statistics, as inference does.
    validate_every : int
    average_decay : float
        Decay of the exponential moving average of the weights, which is what gets released.
    precision : {'bf16', 'fp32'}
    workers : int
        Processes that prepare batches ahead of the training; 0 prepares them in its own.
    """

    steps: int
    freeze_statistics: int = 500
    warmup: int = 100
    validate_every: int = 250
    average_decay: float = 0.998
    precision: str = "bf16"
    seed: int = 0
    workers: int = 1


class _Steps(Dataset):
    """The batches of steps `start` to `stop`, each a function of its step alone."""

    def __init__(self, batches: Callable[[int], dict[str, Tensor]], start: int, stop: int):
        self.batches = batches
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.batches(self.start + index)


def _loader(batches, start: int, settings: TrainingSettings) -> DataLoader:
    return DataLoader(
        _Steps(batches, start, settings.steps),
        batch_size=None,
        num_workers=settings.workers,
        prefetch_factor=4 if settings.workers else None,
    )


def freeze_batch_norm(module: nn.Module) -> None:
    """Make batch normalisation use its running statistics while its weights still learn."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.eval()


def learning_rate_factor(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    method,
    batches: Callable[[int], dict[str, Tensor]],
    validation: Callable[[], Iterable[dict[str, Tensor]]],
    folder: Path,
    settings: TrainingSettings,
) -> nn.Module:
    """Train until ``settings.steps``, resuming from `folder` when it holds a checkpoint.

    Parameters
    ----------
    method : object
        ``modules``, ``optimisers``, ``losses(batch, step)`` and ``score(network, batch)``;
        see :mod:`bids_gan.gan.methods`.
    batches : callable
        Gives the batch of a step; it must depend on the step alone, so that a resumed run sees
        what an undisturbed one would.
    validation : callable
        Gives the validation batches, one a whole volume.
    folder : Path
        Receives ``checkpoint.pt`` and ``log.csv``.
    settings : TrainingSettings

    Returns
    -------
    module
        The averaged generator.
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    generator = method.modules["generator"]
    for module in method.modules.values():
        module.to(memory_format=torch.channels_last_3d)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    rates = {name: opt.param_groups[0]["lr"] for name, opt in method.optimisers.items()}
    start = _resume(folder, method, average)
    recent: dict[str, float] = {}
    with tqdm(total=settings.steps, initial=start, unit="step", smoothing=0.05) as bar:
        for step, batch in enumerate(_loader(batches, start, settings), start):
            factor = learning_rate_factor(step, settings)
            for name, optimiser in method.optimisers.items():
                for group in optimiser.param_groups:
                    group["lr"] = rates[name] * factor
            for module in method.modules.values():
                module.train()
                if step >= settings.freeze_statistics:
                    freeze_batch_norm(module)
            values = _step(method, batch, step, settings)
            for key, value in values.items():
                recent[key] = 0.96 * recent.get(key, value) + 0.04 * value
            _update_average(average, generator, step, settings)
            bar.update()
            if step % 20 == 0:
                bar.set_postfix({k: f"{v:.3f}" for k, v in recent.items()})
            if (step + 1) % settings.validate_every == 0 or step + 1 == settings.steps:
                scores = _validate(method, average, validation(), settings)
                _log(folder / "log.csv", {"step": step + 1, **recent, **scores})
                tqdm.write(f"step {step + 1}: " + _text(recent) + " | validation " + _text(scores))
                _save(folder, method, average, step + 1)
    return average


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def _autocast(settings: TrainingSettings):
    return torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bf16")


def _step(method, batch, step: int, settings: TrainingSettings) -> dict[str, float]:
    with _autocast(settings):
        losses = method.losses(batch, step)
    values = {}
    for name, terms in losses.items():
        optimiser = method.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        total = sum(terms.values())
        if not torch.isfinite(total):
            raise FloatingPointError(f"loss of the {name} is not finite at step {step}: {terms}")
        total.backward()
        nn.utils.clip_grad_norm_(method.modules[name].parameters(), 1.0)
        optimiser.step()
        values |= {term: float(value.detach()) for term, value in terms.items()}
    return values


@torch.no_grad()
def _update_average(average, generator, step: int, settings: TrainingSettings) -> None:
    # a short memory at first, so that the random start is soon forgotten
    decay = min(settings.average_decay, (1 + step) / (10 + step))
    for old, new in zip(average.parameters(), generator.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
    for old, new in zip(average.buffers(), generator.buffers(), strict=True):
        old.copy_(new)


def _validate(method, network, batches, settings: TrainingSettings) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    with torch.no_grad(), _autocast(settings):
        for batch in batches:
            for name, value in method.score(network, batch).items():
                sums.setdefault(f"validation_{name}", []).append(value)
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _log(path: Path, row: dict[str, float]) -> None:
    """Append a row; when a later row has a new column the table is written anew."""
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    rows.append({key: str(value) for key, value in row.items()})
    columns = list(dict.fromkeys(key for r in rows for key in r))
    temporary = path.with_suffix(".part")
    with temporary.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


def _save(folder: Path, method, average: nn.Module, step: int) -> None:
    state = {
        "step": step,
        "modules": {k: m.state_dict() for k, m in method.modules.items()},
        "optimisers": {k: o.state_dict() for k, o in method.optimisers.items()},
        "average": average.state_dict(),
    }
    temporary = folder / "checkpoint.part"
    torch.save(state, temporary)
    os.replace(temporary, folder / "checkpoint.pt")


def _resume(folder: Path, method, average: nn.Module) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, module in method.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimiser in method.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    average.load_state_dict(state["average"])
    return state["step"]
