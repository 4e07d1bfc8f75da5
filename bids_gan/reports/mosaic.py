"""Rows of slices, drawn once for every report figure: display grid, cuts, contours, labels.

Images are shown along their own voxel axes, ordered right, anterior, superior, so that nothing is
interpolated for display when all images share a grid, and the left of the picture is the left of
the person whatever the storage order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from bids_gan.geometry import resample, to_ras, voxel_sizes

# Colours of Okabe and Ito (2008), told apart with every common form of colour blindness
BRAIN_COLOUR, WHITE_MATTER_COLOUR = "#E69F00", "#56B4E9"
GREY_MATTER_COLOUR, DEEP_GREY_COLOUR = "#009E73", "#CC79A7"
PLANES = (2, 1, 0)  # axial, coronal, sagittal
PLANE_ENDS = {0: ("P", "A"), 1: ("L", "R"), 2: ("L", "R")}
_GAP_MM = 4.0


@dataclass(frozen=True)
class Canvas:
    """The grid in which one figure is drawn, and the slices it shows.

    Attributes
    ----------
    shape : tuple of int
        Voxels of the reference image in right-anterior-superior order.
    affine : (4, 4) array
        Voxel to world (mm) of that grid; oblique where the image is.
    box : tuple of slice
        The part of the grid around the brain.
    cuts : tuple of tuple of int
        Voxel indices of the slices, for each of the three axes.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    box: tuple[slice, slice, slice]
    cuts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def read(self, img: nib.Nifti1Image, order: int = 1) -> np.ndarray:
        """Values of a 3D image on this grid, interpolated only if the image has another one."""
        img = to_ras(img)
        data = np.nan_to_num(np.asanyarray(img.dataobj).astype(np.float32))
        if img.shape == self.shape and np.allclose(img.affine, self.affine, atol=1e-3):
            return data
        return resample(data, img.affine, self.shape, self.affine, order=order)


def make_canvas(mask: nib.Nifti1Image, *, n_cuts: int = 7, margin_mm: float = 12.0) -> Canvas:
    """Choose grid, cut-out and slices from a brain mask.

    Parameters
    ----------
    mask : 3D image
        Non-zero in the brain; its grid becomes the grid of the figure.
    n_cuts : int
        Slices for each plane.
    margin_mm : float
        Border left around the mask.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    mask = to_ras(mask)
    inside = np.asanyarray(mask.dataobj) > 0
    if not inside.any():
        raise ValueError("the mask that places the slices of a figure is empty")
    zooms = voxel_sizes(mask.affine)
    found = np.argwhere(inside)
    margin = np.ceil(margin_mm / zooms).astype(int)
    low = np.maximum(found.min(0) - margin, 0)
    high = np.minimum(found.max(0) + margin + 1, inside.shape)

    cuts = tuple(_spread_cuts(inside, axis, n_cuts) for axis in range(3))
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Canvas(inside.shape, mask.affine, box, cuts)


def _spread_cuts(inside: np.ndarray, axis: int, n_cuts: int) -> tuple[int, ...]:
    """Evenly spaced slices wherever the brain is more than a fifth of its largest section.

    Measured against the brain, not the field of view: the lowest slices, where distortion is
    worst, must not drop out because the head is small in its image.
    """
    area = inside.sum(axis=tuple(a for a in range(3) if a != axis))
    where = np.flatnonzero(area > 0.2 * area.max())
    return tuple(int(n) for n in np.linspace(where[0], where[-1], n_cuts + 2)[1:-1].round())


@dataclass(frozen=True)
class Row:
    """One line of a figure: slices of one image in one plane.

    Attributes
    ----------
    data : (I, J, K) or (I, J, K, 3) array
        Values, or colours between 0 and 1, on the canvas grid; NaN is not drawn.
    axis : {0, 1, 2}
        Array axis that is cut through.
    title : str
    cmap : str
    limits : tuple of float
        Values of the two ends of the colour map.
    contours : tuple of (array, colour)
        Images on the canvas grid, outlined at 0.5.
    bar : str or None
        Label of the colour bar; none is drawn when omitted.
    """

    data: np.ndarray
    axis: int
    title: str = ""
    cmap: str = "gray"
    limits: tuple[float, float] = (0.0, 1.0)
    contours: tuple[tuple[np.ndarray, str], ...] = ()
    bar: str | None = None


def _tiles(
    data: np.ndarray, canvas: Canvas, axis: int, gap: int, between: float = 0.0
) -> np.ndarray:
    """Lay slices side by side; rows of the result run upwards (superior or anterior last)."""
    box = list(canvas.box)
    tiles = []
    for cut in canvas.cuts[axis]:
        box[axis] = cut
        tile = np.swapaxes(data[tuple(box)], 0, 1)
        space = np.full((tile.shape[0], gap, *tile.shape[2:]), between, tile.dtype)
        tiles += [tile, space]
    return np.concatenate(tiles[:-1], axis=1)


def _size_mm(canvas: Canvas, axis: int) -> tuple[float, float, int]:
    """Width and height of a row in mm, and the number of empty voxels between its slices."""
    zooms = voxel_sizes(canvas.affine)
    across, up = (a for a in range(3) if a != axis)
    extent = [(s.stop - s.start) for s in canvas.box]
    gap = max(1, round(_GAP_MM / zooms[across]))
    n = len(canvas.cuts[axis])
    return (n * extent[across] + (n - 1) * gap) * zooms[across], extent[up] * zooms[up], gap


def _draw_row(ax, row: Row, canvas: Canvas) -> None:
    width, height, gap = _size_mm(canvas, row.axis)
    image = _tiles(row.data, canvas, row.axis, gap, between=np.nan if row.data.ndim == 3 else 0)
    ax.imshow(
        image,
        origin="lower",
        extent=(0, width, 0, height),
        cmap=row.cmap,
        vmin=row.limits[0],
        vmax=row.limits[1],
        interpolation="bilinear",
        aspect="auto",
    )
    for data, colour in row.contours:
        outline = _tiles(np.asarray(data, np.float32), canvas, row.axis, gap, between=np.nan)
        if np.nanmin(outline) < 0.5 < np.nanmax(outline):
            x = (np.arange(outline.shape[1]) + 0.5) * width / outline.shape[1]
            y = (np.arange(outline.shape[0]) + 0.5) * height / outline.shape[0]
            ax.contour(x, y, outline, levels=[0.5], colors=[colour], linewidths=0.8)
    _label_row(ax, row.axis, canvas, image.shape[1], gap)
    ax.set_axis_off()


def _label_row(ax, axis: int, canvas: Canvas, columns: int, gap: int) -> None:
    """Below each slice: its two sides and its world coordinate in mm."""
    tile = (columns + gap) / len(canvas.cuts[axis])
    centre = np.array([(s.start + s.stop - 1) / 2 for s in canvas.box])
    style = {"transform": ax.transAxes, "color": "white", "fontsize": 9, "va": "top"}
    for n, cut in enumerate(canvas.cuts[axis]):
        left, right = n * tile / columns, (n * tile + tile - gap) / columns
        centre[axis] = cut
        mm = float(nib.affines.apply_affine(canvas.affine, centre)[axis])
        low, high = PLANE_ENDS[axis]
        ax.text(left, -0.01, low, ha="left", **style)
        ax.text(
            (left + right) / 2, -0.01, f"{'xyz'[axis]} = {round(mm):+d} mm", ha="center", **style
        )
        ax.text(right, -0.01, high, ha="right", **style)


def draw_rows(rows: list[Row], canvas: Canvas, *, width_in: float = 13.0, footer_in: float = 0.0):
    """Draw rows of slices below each other on black.

    Parameters
    ----------
    rows : list of Row
    canvas : Canvas
    width_in : float
        Width of the slices in inches.
    footer_in : float
        Empty space left below, for a legend or a shared colour bar.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    bar_in = 0.95 if any(row.bar for row in rows) else 0.0
    title_in, label_in, edge_in = 0.26, 0.18, 0.08
    heights = []
    for row in rows:
        width_mm, height_mm, _ = _size_mm(canvas, row.axis)
        heights.append(width_in * height_mm / width_mm)
    titles = [title_in if row.title else 0.0 for row in rows]
    total_w = width_in + bar_in + 2 * edge_in
    total_h = sum(heights) + sum(titles) + edge_in + footer_in
    total_h += (label_in + edge_in) * len(rows)
    fig = Figure(figsize=(total_w, total_h), facecolor="black")
    top = total_h - edge_in
    for row, height, title in zip(rows, heights, titles, strict=True):
        bottom = top - title - height
        at = (edge_in / total_w, bottom / total_h, width_in / total_w, height / total_h)
        ax = fig.add_axes(at)
        _draw_row(ax, row, canvas)
        if row.title:
            fig.text(at[0], (top - title / 2) / total_h, row.title, color="white", va="center")
        if row.bar:
            left = (edge_in + width_in + 0.12) / total_w
            slot = (left, at[1] + 0.06 * at[3], 0.13 / total_w, 0.88 * at[3])
            _draw_bar(fig, ax.images[0], slot, row.bar)
        top = bottom - label_in - edge_in
    return fig


def _draw_bar(fig, image, place: tuple[float, float, float, float], label: str) -> None:
    bar = fig.colorbar(image, cax=fig.add_axes(place))
    bar.set_label(label, color="white", fontsize=8)
    bar.ax.tick_params(colors="white", labelsize=8)
    bar.outline.set_edgecolor("white")


def add_legend(fig, entries: list[tuple[str, str]]) -> None:
    """Name the contours of a figure at its foot: pairs of text and colour."""
    from matplotlib.lines import Line2D

    fig.legend(
        handles=[Line2D([], [], color=colour, label=text) for text, colour in entries],
        loc="lower left",
        ncols=len(entries),
        frameon=False,
        labelcolor="white",
        fontsize=9,
        borderaxespad=0.2,
    )


def window(data: np.ndarray, inside: np.ndarray, upper: float = 99.5) -> tuple[float, float]:
    """Grey-value window that outliers cannot spoil: zero, or the 1st percentile if lower, upwards.

    Parameters
    ----------
    data : array
    inside : bool array
        Voxels that count.
    upper : float
        Percentile of the bright end.
    """
    values = data[inside & np.isfinite(data)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [1, upper])
    low = min(float(low), 0.0)
    return low, float(high) if high > low else low + 1.0
