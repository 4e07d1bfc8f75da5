"""A person's images side by side in three planes, and where each is wrong."""

from __future__ import annotations

import io
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from bids_gan.evaluate.metrics import linear_calibration
from bids_gan.evaluate.synthesis import UNITS, Result
from bids_gan.geometry import to_ras, voxel_sizes

#: axis cut through, axes shown across and upwards
PLANES = ((2, 0, 1), (1, 0, 2), (0, 1, 2))
#: border around the mask, mm
MARGIN = 6.0
ROW_INCHES, LABEL_INCHES, BAR_INCHES, HEAD_INCHES = 1.75, 2.0, 0.95, 0.28
TEXT = {"color": "white", "fontsize": 9}


@dataclass(frozen=True)
class _View:
    """What of a volume is shown: a box around the mask, cut through its middle."""

    affine: np.ndarray
    zooms: np.ndarray
    low: np.ndarray
    high: np.ndarray
    middle: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, affine: np.ndarray) -> _View:
        ras = to_ras(nib.Nifti1Image(mask.astype(np.uint8), affine))
        inside = np.argwhere(np.asarray(ras.dataobj))
        zooms = voxel_sizes(ras.affine)
        border = np.ceil(MARGIN / zooms).astype(int)
        low = np.maximum(inside.min(0) - border, 0)
        high = np.minimum(inside.max(0) + border + 1, ras.shape)
        return cls(affine, zooms, low, high, np.median(inside, axis=0).astype(int))

    @property
    def size_mm(self) -> np.ndarray:
        return (self.high - self.low) * self.zooms

    def cuts(self, data: np.ndarray) -> list[np.ndarray]:
        """One picture a plane, rows upwards."""
        volume = np.asarray(to_ras(nib.Nifti1Image(data.astype(np.float32), self.affine)).dataobj)
        box = [slice(a, b) for a, b in zip(self.low, self.high, strict=True)]
        return [
            volume[(*box[:axis], self.middle[axis], *box[axis + 1 :])].T for axis, _, _ in PLANES
        ]


def draw(result: Result, target: str) -> bytes:
    """Draw a PNG: a row for the truth and each image, calibrated, beside its error.

    Parameters
    ----------
    result : Result
    target : str

    Notes
    -----
    Slices run through the middle of the mask; left of the picture is left of the person.
    """
    from matplotlib.figure import Figure

    case = result.case
    view = _View.of(case.mask, case.affine)
    rows = [(f"truth\n({case.name})", np.where(case.mask, case.truth, 0), None)]
    for name, image in result.images.items():
        fitted = linear_calibration(image, case.truth, case.mask)
        error = np.where(case.mask, fitted - case.truth, np.nan)  # black outside
        label = _label(name, result.scores[name])
        rows.append((label, np.where(case.mask, fitted, 0), error))
    values = case.truth[case.mask]
    window = (min(0.0, float(np.percentile(values, 1))), float(np.percentile(values, 99.5)))
    limit = 0.5 * (window[1] - window[0])

    widths = [view.size_mm[across] for _, across, _ in PLANES] * 2
    scale = ROW_INCHES / max(view.size_mm[up] for _, _, up in PLANES)
    width = LABEL_INCHES + sum(widths) * scale + BAR_INCHES
    height = ROW_INCHES * len(rows) + HEAD_INCHES
    fig = Figure(figsize=(width, height), facecolor="black")
    grid = fig.add_gridspec(
        len(rows),
        6,
        width_ratios=widths,
        wspace=0.03,
        hspace=0.03,
        left=LABEL_INCHES / width,
        right=1 - BAR_INCHES / width,
        bottom=0.01,
        top=1 - HEAD_INCHES / height,
    )
    for number, (label, image, error) in enumerate(rows):
        place = grid[number, 0].get_position(fig)
        fig.text(0.008, (place.y0 + place.y1) / 2, label, va="center", **TEXT)
        last = _draw_cuts(fig, grid, (number, 0), view, image, "gray", window)
        if error is None:
            # the truth has no error: its place has room for the scale of the images
            _bar(fig, last, grid[number, 3].get_position(fig), f"{target} {UNITS[target]}")
        else:
            last = _draw_cuts(fig, grid, (number, 3), view, error, "RdBu_r", (-limit, limit))
            if number == 1:
                right = grid[number, 5].get_position(fig)
                right = right.translated(right.width + 0.01, 0)
                _bar(fig, last, right, f"error {UNITS[target]}")
    for column, text in ((1, "linearly fitted to the truth"), (4, "error")):
        place = grid[0, column].get_position(fig)
        fig.text((place.x0 + place.x1) / 2, 0.996, text, ha="center", va="top", **TEXT)
    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=130, facecolor="black", metadata={"Software": None})
    return stream.getvalue()


def _draw_cuts(fig, grid, corner: tuple[int, int], view: _View, data, cmap: str, ends: tuple):
    row, first = corner
    for column, (cut, (_, across, up)) in enumerate(zip(view.cuts(data), PLANES, strict=True)):
        ax = fig.add_subplot(grid[row, first + column])
        image = ax.imshow(
            cut,
            origin="lower",
            cmap=cmap,
            vmin=ends[0],
            vmax=ends[1],
            interpolation="nearest",
            aspect=view.zooms[up] / view.zooms[across],
        )
        ax.set_axis_off()
    return image


def _label(name: str, scores: dict[str, float]) -> str:
    import textwrap

    r = "–" if np.isnan(scores["r"]) else f"{scores['r']:.3f}"
    text = textwrap.fill(name, 28)
    return f"{text}\nr {r}, {scores['psnr']:.2f} dB\nSSIM {scores['ssim']:.3f}"


def _bar(fig, image, place, label: str) -> None:
    slot = (place.x0, place.y0 + 0.1 * place.height, 0.008, 0.8 * place.height)
    bar = fig.colorbar(image, cax=fig.add_axes(slot))
    bar.set_label(label.strip(), color="white", fontsize=7)
    bar.ax.tick_params(colors="white", labelsize=7)
    bar.outline.set_edgecolor("white")
