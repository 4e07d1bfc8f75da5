"""Volumes on disk, ready to be memory-mapped: decompressed and resampled once, not every run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bids_gan.errors import DataError


def cached_volumes(
    sources: Sequence[Path], folder: Path, build: Callable[[], np.ndarray]
) -> Tensor:
    """Give the volumes made from `sources`, from the cache when these have not changed.

    Parameters
    ----------
    sources : sequence of Path
        Files that `build` reads; their paths, sizes and times of change are the key.
    folder : Path
        Of the cache; it can be removed at any time.
    build : callable
        Gives (C, D, H, W) float array; called only when the cache lacks it.

    Returns
    -------
    (C, D, H, W) half tensor
        Memory-mapped: what is not sampled is not read, and processes share what is.

    Raises
    ------
    DataError
        When a source is missing, or a value is not finite in half precision (|x| > 65504).
    """
    path = folder / _name(sources)
    volumes = _open(path)
    if volumes is None:
        values = np.asarray(build(), np.float32)
        with np.errstate(over="ignore"):  # said below, with the name of the file
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise DataError(
                f"{', '.join(map(str, sources))}: values that are not finite, or beyond ±65504, "
                f"cannot be cached (range {np.nanmin(values):g} to {np.nanmax(values):g})"
            )
        _write(path, half)
        volumes = _open(path)
    return torch.from_numpy(volumes)


def _name(sources: Sequence[Path]) -> str:
    """``<paths>-<sizes and times>.npy``, both as hashes."""
    try:
        stats = [path.stat() for path in sources]
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None
    paths = "\n".join(str(path.resolve()) for path in sources)
    state = "\n".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)
    return f"{_hash(paths)}-{_hash(state)}.npy"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _open(path: Path) -> np.ndarray | None:
    try:
        # copy on write: torch wants an array that it may write to; the file stays as it is
        return np.load(path, mmap_mode="c")
    except (OSError, ValueError):  # none yet, or cut short
        return None


def _write(path: Path, half: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # several processes may make the same volume; each writes its own file, the last name wins
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as stream:
        np.save(stream, half)
    os.replace(temporary, path)
    for old in path.parent.glob(f"{path.name.split('-')[0]}-*.npy"):
        if old != path:
            old.unlink(missing_ok=True)
