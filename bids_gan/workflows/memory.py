"""Memory that the steps of a diffusion run take, from the size of its series."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bids_gan.errors import DataError
from bids_gan.images import open_image

_FLOAT32 = 4


@dataclass(frozen=True)
class Need:
    """What a step takes.

    Attributes
    ----------
    base : float
        GiB of Python, libraries and anatomy.
    copies : float
        Of the series, as float32, at once.
    volume : float
        GiB for each volume: the tensor fit works on pieces of a fixed number of voxels.
    """

    base: float
    copies: float
    volume: float


#: by name of the node; ``benchmarks/step_memory.py`` measures the first two
STEPS = {
    "prepare_diffusion": Need(0.7, 8.5, 0.003),
    "apply_correction": Need(1.2, 6.5, 0.003),
    "save_diffusion": Need(0.5, 1.5, 0.0),
}


def step_memory(step: str, series: Path) -> float:
    """Memory in GiB that a step takes at most, from the header of its series alone.

    Parameters
    ----------
    step : str
        Name of the node, one of :data:`STEPS`.
    series : Path
        Diffusion series. One that cannot be read counts nothing: the step itself refuses it.
    """
    try:
        shape = open_image(series).shape
    except DataError:
        shape = ()
    need, voxels = STEPS[step], math.prod(shape) if shape else 0
    gib = need.base + need.copies * voxels * _FLOAT32 / 2**30
    return round(gib + need.volume * (shape[3] if len(shape) == 4 else 0), 2)
