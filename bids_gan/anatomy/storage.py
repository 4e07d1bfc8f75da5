"""A prepared anatomy as one file, for passing it between processes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from bids_gan.anatomy.prepare import Anatomy


def save_anatomy(anatomy: Anatomy, path: Path) -> Path:
    """Write all arrays to an ``.npz`` file."""
    np.savez(path, **{f.name: getattr(anatomy, f.name) for f in fields(Anatomy)})
    return path


def load_anatomy(path: Path) -> Anatomy:
    """Read what :func:`save_anatomy` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return Anatomy(**{f.name: stored[f.name] for f in fields(Anatomy)})
