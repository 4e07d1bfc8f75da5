"""A person's images side by side in three planes, and where each is wrong."""

from __future__ import annotations

import io

import nibabel as nib
import numpy as np

from bids_gan.evaluate.metrics import linear_calibration
from bids_gan.evaluate.synthesis import UNITS, Result
from bids_gan.geometry import to_ras, voxel_sizes

#: axis cut through, axes shown across and upwards
PLANES = ((2, 0, 1), (1, 0, 2), (0, 1, 2))
#: border around the mask, mm
MARGIN = 6.0
ROW_INCHES, LABEL_INCHES, BAR_INCHES = 1.75, 2.3, 0.75


def draw(result: Result, target: str) -> bytes:
    """Draw a PNG: a row for the truth and each image, calibrated, beside its error.

    Parameters
    ----------
    result : Result
    target : str

    Notes
    -----
    Slices run through the middle of the mask, left of the picture is left of the person.
    """
    from matplotlib.figure import Figure

    case = result.case
    mask = _ras(case.mask.astype(np.uint8), case.affine) > 0
    inside = np.argwhere(mask)
    zooms = voxel_sizes(to_ras(nib.Nifti1Image(case.truth, case.affine)).affine)
    border = np.ceil(MARGIN / zooms).astype(int)
    low = np.maximum(inside.min(0) - border, 0)
    high = np.minimum(inside.max(0) + border + 1, mask.shape)
    middle = np.median(inside, axis=0).astype(int)

    rows = {f"truth ({case.name})": (np.where(case.mask, case.truth, 0), None)}
    for name, image in result.images.items():
        fitted = linear_calibration(image, case.truth, case.mask)
        error = np.where(case.mask, fitted - case.truth, 0)
        rows[_label(name, result.scores[name])] = (np.where(case.mask, fitted, 0), error)
    values = case.truth[case.mask]
    window = (min(0.0, float(np.percentile(values, 1))), float(np.percentile(values, 99.5)))
    limit = 0.5 * (window[1] - window[0])

    size = (high - low) * zooms
    widths = [size[across] for _, across, _ in PLANES] * 2
    scale = ROW_INCHES / max(size[up] for _, _, up in PLANES)
    across_inches = LABEL_INCHES + sum(widths) * scale + BAR_INCHES
    fig = Figure(figsize=(across_inches, ROW_INCHES * len(rows) + 0.3), facecolor="black")
    grid = fig.add_gridspec(
        len(rows), 6, width_ratios=widths, wspace=0.03, hspace=0.03,
        left=LABEL_INCHES / across_inches, right=1 - BAR_INCHES / across_inches,
        bottom=0.01, top=1 - 0.28 / (ROW_INCHES * len(rows) + 0.3),
    )  # fmt: skip
    for row, (name, (image, error)) in enumerate(rows.items()):
        for half, (data, cmap, ends) in enumerate(
            ((image, "gray", window), (error, "RdBu_r", (-limit, limit)))
        ):
            if data is None:
                continue
            volume = _ras(data, case.affine)
            for column, plane in enumerate(PLANES):
                ax = fig.add_subplot(grid[row, 3 * half + column])
                last = ax.imshow(
                    _slice(volume, plane, middle, low, high), origin="lower", cmap=cmap,
                    vmin=ends[0], vmax=ends[1], interpolation="nearest",
                    aspect=zooms[plane[2]] / zooms[plane[1]],
                )  # fmt: skip
                ax.set_axis_off()
            place = grid[row, 5].get_position(fig)
            if half or row == 0:
                y, label = (place.y0, "error") if half else (place.y0, target)
                low, tall = y + 0.1 * place.height, 0.8 * place.height
                box = (place.x1 + 0.006, low, 0.007, tall)
                _bar(fig, last, box, f"{label} {UNITS[target]}".strip())
        place = grid[row, 0].get_position(fig)
        fig.text(0.008, (place.y0 + place.y1) / 2, name, color="white", fontsize=9, va="center")
    for column, text in ((1, "image, linearly fitted to the truth"), (4, "error")):
        place = grid[0, column].get_position(fig)
        fig.text((place.x0 + place.x1) / 2, 0.995, text, color="white", fontsize=9, ha="center",
                 va="top")  # fmt: skip
    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=130, facecolor="black", metadata={"Software": None})
    return stream.getvalue()


def _ras(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    dtype = np.uint8 if data.dtype == np.uint8 else np.float32
    return np.asarray(to_ras(nib.Nifti1Image(data.astype(dtype), affine)).dataobj)


def _slice(volume, plane, middle, low, high) -> np.ndarray:
    axis, across, up = plane
    box = [slice(a, b) for a, b in zip(low, high, strict=True)]
    box[axis] = middle[axis]
    cut = volume[tuple(box)]
    return cut.T if across < up else cut


def _label(name: str, scores: dict[str, float]) -> str:
    import textwrap

    r = "–" if np.isnan(scores["r"]) else f"{scores['r']:.3f}"
    text = textwrap.fill(name, 30)
    return f"{text}\nr {r}, {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}"


def _bar(fig, image, place: tuple, label: str) -> None:
    bar = fig.colorbar(image, cax=fig.add_axes(place))
    bar.set_label(label, color="white", fontsize=7)
    bar.ax.tick_params(colors="white", labelsize=7)
    bar.outline.set_edgecolor("white")
