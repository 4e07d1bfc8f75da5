"""A picture of what the network makes of a validation volume."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from torch import Tensor

#: plane -> axis that it is perpendicular to, in RAS+ volumes
PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}


def write_preview(path: Path, panels: dict[str, Tensor], title: str) -> None:
    """Draw the middle slices of volumes, a column a volume, a row a plane.

    Parameters
    ----------
    path : Path
        Of the PNG file.
    panels : dict
        Name -> (D, H, W) tensor, RAS+. Whole numbers are drawn as classes; the others in grey,
        ``output`` by the range of ``target``.
    title : str
    """
    from matplotlib.figure import Figure

    volumes = {name: panel.cpu().numpy() for name, panel in panels.items()}
    figure = Figure(figsize=(2.6 * len(volumes), 8.2), facecolor="black", layout="constrained")
    axes = figure.subplots(len(PLANES), len(volumes), squeeze=False)
    for column, (name, volume) in enumerate(volumes.items()):
        style = _style(volumes.get("target", volume) if name == "output" else volume)
        axes[0, column].set_title(name, color="white")
        for ax, axis in zip(axes[:, column], PLANES.values(), strict=True):
            middle = volume.take(volume.shape[axis] // 2, axis)
            ax.imshow(middle.T, origin="lower", interpolation="nearest", **style)
            ax.axis("off")
    figure.suptitle(title, color="white")
    temporary = path.with_suffix(".part")
    figure.savefig(temporary, format="png", dpi=100)
    os.replace(temporary, path)


def _style(volume: np.ndarray) -> dict:
    if np.issubdtype(volume.dtype, np.integer):
        return {"cmap": "nipy_spectral", "vmin": 0, "vmax": max(int(volume.max()), 1)}
    inside = volume[volume != 0]
    low, high = np.percentile(inside, [0.5, 99.5]) if inside.size else (0.0, 1.0)
    # zero, where there is nothing, stays black unless the values reach below it
    return {"cmap": "gray", "vmin": min(low, 0.0), "vmax": high}
