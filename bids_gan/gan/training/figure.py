"""A picture of what the network makes of a validation volume."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from torch import Tensor

#: plane -> axis that it is perpendicular to, in RAS+ volumes
PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}


def write_preview(path: Path, panels: dict[str, Tensor], title: str) -> None:
    """Draw the middle slices of volumes, a column a volume, a row a plane; slices as they are.

    Parameters
    ----------
    path : Path
        Of the PNG file.
    panels : dict
        Name -> (D, H, W) tensor, RAS+, or all of them (D, H). Whole numbers are drawn as
        classes, in the same colours everywhere; the others in grey, ``output`` by the range of
        ``target``.
    title : str
    """
    from matplotlib.figure import Figure

    volumes = {name: panel.cpu().numpy() for name, panel in panels.items()}
    classes = max((v.max() for v in volumes.values() if _is_labels(v)), default=1)
    rows = max(len(_middle_slices(volume)) for volume in volumes.values())
    size = 2.6 * len(volumes), 0.4 + 2.6 * rows
    figure = Figure(figsize=size, facecolor="black", layout="constrained")
    axes = figure.subplots(rows, len(volumes), squeeze=False)
    for column, (name, volume) in enumerate(volumes.items()):
        scaled_by = volumes.get("target", volume) if name == "output" else volume
        style = _style(scaled_by, classes)
        axes[0, column].set_title(name, color="white")
        for ax, middle in zip(axes[:, column], _middle_slices(volume), strict=True):
            ax.imshow(middle.T, origin="lower", interpolation="nearest", **style)
            ax.axis("off")
    figure.suptitle(title, color="white")
    temporary = path.with_suffix(".part")
    figure.savefig(temporary, format="png", dpi=100)
    os.replace(temporary, path)


def _middle_slices(volume: np.ndarray) -> list[np.ndarray]:
    if volume.ndim == 2:
        return [volume]
    return [volume.take(volume.shape[axis] // 2, axis) for axis in PLANES.values()]


def _is_labels(volume: np.ndarray) -> bool:
    return np.issubdtype(volume.dtype, np.integer)


def _style(volume: np.ndarray, classes: int) -> dict:
    if _is_labels(volume):
        return {"cmap": "nipy_spectral", "vmin": 0, "vmax": max(int(classes), 1)}
    inside = volume[volume != 0]
    low, high = np.percentile(inside, [0.5, 99.5]) if inside.size else (0.0, 1.0)
    # zero, where there is nothing, stays black unless the values reach below it
    return {"cmap": "gray", "vmin": min(low, 0.0), "vmax": high}
