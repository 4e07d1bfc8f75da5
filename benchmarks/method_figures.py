"""What each method makes of people whom no recipe trains on: the figures of ``docs/methods``."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bids_gan.gan.inference import tiled
from bids_gan.gan.training.contrasts import aligned
from bids_gan.simulate.contrasts import WholeBrains

#: edge of a cube that holds a brain, and of the slab about the slice shown; voxels of 1 mm
FIELD, SLAB = 192, 32
#: ends of the colours of an error, mean of white matter
ERROR = (-0.5, 0.5)
#: width of a slice in a figure of few and of many
WIDE_INCHES, NARROW_INCHES, FEW = 1.5, 1.15, 10
TEXT = {"color": "white", "fontsize": 9}

Batch = dict[str, Tensor]
Maps = dict[str, np.ndarray]


@dataclass(frozen=True)
class Panel:
    """A slice (I, J), the ends of its colours, and what is outlined on it."""

    image: Tensor
    ends: tuple[float, float]
    title: str = ""
    cmap: str = "gray"
    outline: Tensor | None = None


Rows = dict[str, list[Panel]]


def person(label_map: np.ndarray, recipe: dict, lesions: bool = False) -> Batch:
    """Slab through the middle of a brain, or of its lesion, in every contrast of a recipe."""
    contrasts, seed = recipe["simulation"]["contrasts"], recipe["seed"]
    batch = WholeBrains([label_map], FIELD, 1, contrasts, lesions, seed).batch(0)
    heights = batch["lesion" if lesions else "mask"][0, 0].nonzero()[:, 2]
    first = int(heights.double().mean()) - SLAB // 2
    slab = {key: value[..., first : first + SLAB] for key, value in batch.items()}
    places = slab["mask"][0, 0].nonzero()
    low, high = places.amin(0), places.amax(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low[:2], high[:2], strict=True))
    return {key: value[(..., *box, slice(None))] for key, value in slab.items()}


def window(image: Tensor) -> tuple[float, float]:
    """From zero to what half a per cent of the content exceeds."""
    return 0.0, float(image[image != 0].float().quantile(0.995))


def middle(volume: Tensor) -> Tensor:
    """Slice through the middle of (..., K), without the axes of one image of one channel."""
    return volume[..., volume.shape[-1] // 2].squeeze()


def error(made: Tensor, truth: Tensor) -> Panel:
    """Difference of two slices where there is something."""
    difference = torch.where(truth != 0, made - truth, torch.nan)
    return Panel(difference, ERROR, "error", "RdBu_r")


def translation(method, network, recipe: dict, maps: Maps) -> Rows:
    """Input, truth, output and error."""
    source, target = recipe["simulation"]["contrasts"]
    rows = {}
    for name, label_map in maps.items():
        batch = person(label_map, recipe)
        volumes = method.preview(network, aligned(lambda step, batch=batch: batch)(0))
        given, truth, made = (middle(volumes[key]) for key in ("input", "target", "output"))
        rows[name] = [
            Panel(given, window(given), f"{source}, given"),
            Panel(truth, window(truth), f"{target}, truth"),
            Panel(made, window(truth), f"{target}, made"),
            error(made, truth),
        ]
    return rows


def stargan(method, network, recipe: dict, maps: Maps) -> Rows:
    """Every contrast from every other, below the truth."""
    batch = person(next(iter(maps.values())), recipe)
    contrasts, cube = recipe["simulation"]["contrasts"], recipe["data"]["patch"]
    images, mask = batch["contrasts"].split(1, dim=1), batch["mask"]
    truths = [middle(image) for image in images]

    def made(given: Tensor, wanted: int) -> Tensor:
        def run(x: Tensor) -> Tensor:
            return method.translate(network, x[:, :1], torch.tensor([wanted]), x[:, 1:])

        return middle(tiled(run, torch.cat([given, mask], dim=1), cube))

    rows = {
        "truth": [Panel(t, window(t), c) for t, c in zip(truths, contrasts, strict=True)],
    }
    for name, given in zip(contrasts, images, strict=True):
        rows[f"from {name}"] = [Panel(made(given, n), window(t)) for n, t in enumerate(truths)]
    return rows


def collagan(method, network, recipe: dict, maps: Maps) -> Rows:
    """Every contrast from one, from more and from all of the others."""
    batch = person(next(iter(maps.values())), recipe)
    contrasts, images = recipe["simulation"]["contrasts"], batch["contrasts"]
    rows = {}
    for wanted, name in enumerate(contrasts):
        truth = middle(images[:, wanted])
        row = [Panel(truth, window(truth), "truth")]
        others = [n for n in range(len(contrasts)) if n != wanted]
        for count in range(1, len(contrasts)):
            given = torch.zeros(1, len(contrasts))
            given[0, others[:count]] = 1
            made = middle(
                method.impute(network, images, given, torch.tensor([wanted]), batch["mask"])
            )
            row.append(Panel(made, window(truth), f"from {count}"))
        rows[name] = [*row, error(made, truth)]
    return rows


def constrained_autoencoder(method, network, recipe: dict, maps: Maps) -> Rows:
    """Image, reconstruction and residual, the lesion outlined."""
    rows = {}
    for name, label_map in maps.items():
        batch = person(label_map, recipe, lesions=True)
        volumes = method.preview(network, batch | {"input": batch["contrasts"]})
        image, again, residual = (
            middle(volumes[key]) for key in ("input", "reconstruction", "residual")
        )
        lesion = middle(volumes["lesion"])
        rows[name] = [
            Panel(image, window(image), "image", outline=lesion),
            Panel(again, window(image), "reconstruction"),
            Panel(residual, (0.0, ERROR[1]), "residual", "magma", lesion),
        ]
    return rows


def progressive(method, network, recipe: dict, maps: Maps) -> Rows:
    """A simulated brain, and three of nobody, at each size."""
    patch, contrasts = recipe["data"]["patch"], recipe["simulation"]["contrasts"]
    spacing, seed = recipe["data"]["spacing"], recipe["seed"]
    brains = WholeBrains(list(maps.values()), patch, 1, contrasts, seed=seed, spacing=spacing)
    real = brains.batch(0)["contrasts"]
    rows: Rows = {}
    for stage in range(method.stages):
        network.progress.fill_(stage)
        for name, volume in method.preview(network, {"input": real}).items():
            label = "simulated" if name == "real" else f"generated {name}"
            panel = Panel(middle(volume), window(real), f"{len(volume)}³")
            rows.setdefault(label, []).append(panel)
    return rows


#: method -> rows of panels of it
FIGURES: dict[str, Callable[..., Rows]] = {
    "pix2pix": translation,
    "cyclegan": translation,
    "unit": translation,
    "stargan": stargan,
    "collagan": collagan,
    "constrained-autoencoder": constrained_autoencoder,
    "progressive": progressive,
}


def write_figure(path: Path, method, network, recipe: dict, maps: Maps) -> None:
    """Draw a method's figure.

    Parameters
    ----------
    path : Path
        Of the PNG file.
    method : Method
    network : module
    recipe : dict
    maps : dict
        Name of a person whom the recipe keeps apart -> label map.
    """
    with torch.no_grad():
        rows = FIGURES[recipe["method"]](method, network, recipe, maps)
    draw(path, rows)


def draw(path: Path, rows: Rows) -> None:
    """Draw rows of slices, left of the picture left of the person."""
    from matplotlib.figure import Figure
    from PIL import Image

    columns = max(len(row) for row in rows.values())
    shapes = [panel.image.shape for row in rows.values() for panel in row]
    width = WIDE_INCHES if len(shapes) <= FEW else NARROW_INCHES
    cell = width, width * max(j / i for i, j in shapes)
    size = cell[0] * columns + 0.8, cell[1] * len(rows) + 0.3
    figure = Figure(figsize=size, facecolor="black", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for ax, panel in zip(axes[0], next(iter(rows.values())), strict=True):
        ax.set_title(panel.title, **TEXT)
    for (label, row), line in zip(rows.items(), axes, strict=True):
        line[0].set_ylabel(label, **TEXT)
        for panel, ax in zip(row, line, strict=True):
            ax.set(xticks=[], yticks=[], frame_on=False)
            low, high = panel.ends
            drawn = ax.imshow(panel.image.T, panel.cmap, vmin=low, vmax=high, origin="lower")
            if panel.outline is not None:
                ax.contour(panel.outline.T, [0.5], colors="cyan", linewidths=0.8)
    if panel.cmap != "gray":
        bar = figure.colorbar(drawn, ax=axes[:, -1], shrink=0.6, aspect=30)
        bar.ax.tick_params(colors="white", labelsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    # 256 colours, which take a third of the space; other ways to choose them tint the greys
    picture = Image.open(stream).convert("RGB").quantize(method=Image.Quantize.FASTOCTREE)
    picture.save(path, optimize=True)
