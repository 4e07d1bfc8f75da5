"""Checkpoints: written whole or not at all, checked when read, the last two kept."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from pathlib import Path

import torch

from bids_gan.errors import DataError

#: raised when a state can no longer be read by the code that follows
VERSION = 1
KEPT = 2
_NAME = re.compile(r"checkpoint_step-(\d+)_sha256-([0-9a-f]{16})\.pt")


def save_checkpoint(folder: Path, step: int, state: dict) -> Path:
    """Write the state of a run as ``checkpoint_step-<step>_sha256-<first 16 digits>.pt``.

    Parameters
    ----------
    folder : Path
    step : int
        Optimisation steps done.
    state : dict
        Tensors, numbers, texts, and lists and dicts of them.

    Notes
    -----
    The checksum is part of the name, so file and checksum appear in one rename.
    """
    buffer = io.BytesIO()
    torch.save({"version": VERSION, "step": step, **state}, buffer)
    content = buffer.getbuffer()
    digest = hashlib.sha256(content).hexdigest()[:16]
    temporary = folder / "checkpoint.part"
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path = folder / f"checkpoint_step-{step:08d}_sha256-{digest}.pt"
    os.replace(temporary, path)
    for old in find_checkpoints(folder)[:-KEPT]:
        old.unlink()
    return path


def find_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first; nothing is said of their content."""
    return sorted(p for p in folder.glob("checkpoint_step-*.pt") if _NAME.fullmatch(p.name))


def load_checkpoint(folder: Path) -> dict | None:
    """Read the last whole checkpoint; ``None`` when a run has none yet.

    A damaged one is named on the terminal and set aside as ``.corrupt``.

    Raises
    ------
    DataError
        When all are damaged, or were written by another version.
    """
    if (folder / "checkpoint.pt").exists():
        raise DataError(
            f"{folder / 'checkpoint.pt'}: written by an older version of bids-gan and not "
            "readable by this one; remove it, or give another --output"
        )
    found = find_checkpoints(folder)
    for path in reversed(found):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] == _NAME.fullmatch(path.name)[2]:
            return _read(path, content)
        aside = path.with_suffix(".corrupt")
        os.replace(path, aside)
        print(
            f"{path}: damaged (its SHA-256 is not that of its name); set aside as {aside.name}, "
            "trying the one before",
            file=sys.stderr,
        )
    if found:
        raise DataError(
            f"{folder}: all {len(found)} checkpoints are damaged; "
            "give another --output to start anew"
        )
    return None


def _read(path: Path, content: bytes) -> dict:
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["version"] != VERSION:
        raise DataError(
            f"{path}: checkpoint of version {state['version']}, this bids-gan reads {VERSION}; "
            "finish with the version that began it, or give another --output"
        )
    return state
