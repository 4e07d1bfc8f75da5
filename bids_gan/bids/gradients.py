"""Gradient files of a diffusion run: can they be used, and how many volumes do they weight?"""

from __future__ import annotations

from pathlib import Path

from bids_gan.bids.queries import NO_FILE

#: a tensor has six unknowns beside S0
MIN_WEIGHTED_VOLUMES = 6
#: s/mm²; volumes below carry too little diffusion weighting to count
WEIGHTED_ABOVE = 100.0


def gradient_fault(path: Path, bval: Path | None, bvec: Path | None) -> str | None:
    """Why a run's gradient files cannot be used."""
    stem = path.name.split(".")[0]
    for kind, found in (("bval", bval), ("bvec", bvec)):
        if found is None:
            return f"no gradient file: {stem}.{kind} must lie beside it (or a level higher)."
        if not found.is_file():
            return f"its gradient file {found.name} cannot be used: {NO_FILE}."
        if not found.stat().st_size:
            return f"its gradient file {found.name} is empty."
    try:
        weighted_volumes(bval)
    except ValueError:
        return f"its gradient file {bval.name} does not hold numbers only."
    return None


def weighted_volumes(bval: Path) -> int:
    """Number of volumes with diffusion weighting.

    Raises
    ------
    ValueError
        When the file holds something else than numbers.
    """
    return sum(float(value) > WEIGHTED_ABOVE for value in bval.read_text().split())
