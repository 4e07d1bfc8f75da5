"""The figures of the report of one person: nibabel images in, the path of an SVG file out.

All images of a figure are shown on the grid of its mask; images with another grid are resampled
to it through their affines. Every file is written whole or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.diffusion.rigid import rigid_parameters
from bids_gan.reports.mosaic import (
    BRAIN_COLOUR,
    DEEP_GREY_COLOUR,
    GREY_MATTER_COLOUR,
    PLANES,
    WHITE_MATTER_COLOUR,
    Canvas,
    Row,
    add_legend,
    draw_rows,
    make_canvas,
    window,
)
from bids_gan.reports.svg import flicker, save_svg, to_svg

FIELD_COLOURS = "PuOr_r"
FIELD_OPACITY = 0.75
FA_LIMITS = (0.0, 0.8)
#: about the edge of white matter; as low as it is, since synthetic FA is blurred
OUTLINED_FA = 0.25
#: target -> ends of the colour map; the others get a robust window
TARGET_LIMITS = {"FA": FA_LIMITS, "CT": (-200.0, 1500.0)}


def plot_anatomy(
    t1w: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    structures: nib.Nifti1Image,
    white_matter: nib.Nifti1Image,
    out_file: str | os.PathLike,
) -> Path:
    """T1w in three planes with the outlines of brain mask and tissues.

    Parameters
    ----------
    t1w, brain_mask : 3D image
    structures : 3D image
        Index in `bids_gan.anatomy.segment.STRUCTURES`.
    white_matter : 3D image
        Mask or probability; outlined at 0.5.
    out_file : path
        SVG file to write.

    Returns
    -------
    Path
        `out_file`, absolute.
    """
    from bids_gan.anatomy.segment import CSF, STRUCTURES

    canvas = make_canvas(brain_mask)
    brain = canvas.read(brain_mask)
    labels = canvas.read(structures, order=0).round()
    outlines = {
        "brain mask": (brain, BRAIN_COLOUR),
        "edge of grey matter to fluid": (labels > CSF, GREY_MATTER_COLOUR),
        "deep grey matter": (labels == STRUCTURES.index("deep grey"), DEEP_GREY_COLOUR),
        "white matter": (canvas.read(white_matter), WHITE_MATTER_COLOUR),
    }
    data = canvas.read(t1w)
    limits = window(data, brain > 0.5)
    contours = tuple(outlines.values())
    rows = [Row(data, axis, limits=limits, contours=contours) for axis in PLANES]
    fig = draw_rows(rows, canvas, footer_in=0.3)
    add_legend(fig, [(name, colour) for name, (_, colour) in outlines.items()])
    return save_svg(to_svg(fig), out_file)


def plot_synthesis(
    t1w: nib.Nifti1Image,
    synthetic: nib.Nifti1Image,
    spread: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    out_file: str | os.PathLike,
    *,
    target: str,
) -> Path:
    """T1w, synthetic image and its standard deviation: the same slices below each other.

    Parameters
    ----------
    t1w, synthetic, spread, brain_mask : 3D image
        `spread` is the standard deviation of the synthetic image in each voxel.
    out_file : path
    target : str
        Contrast that was synthesised. All but a CT, which shows bone, are black outside the brain.
    """
    canvas = make_canvas(brain_mask)
    inside = canvas.read(brain_mask) > 0.5
    anatomy, image, std = (canvas.read(img) for img in (t1w, synthetic, spread))
    if target != "CT":
        image, std = (np.where(inside, data, np.nan) for data in (image, std))
    grey = window(anatomy, inside)
    limits = TARGET_LIMITS.get(target) or window(image, inside)
    std_limits = (0.0, _round_up(np.percentile(std[inside], 99)))
    rows = []
    for axis in PLANES:
        rows += [
            Row(anatomy, axis, title="T1w", limits=grey),
            Row(image, axis, title=f"synthetic {target}", limits=limits, bar=target),
            Row(
                std,
                axis,
                title=f"standard deviation of the synthetic {target}",
                cmap="cividis",
                limits=std_limits,
                bar=f"SD of {target}",
            ),
        ]
    return save_svg(to_svg(draw_rows(rows, canvas)), out_file)


def plot_before_after(
    before: nib.Nifti1Image,
    after: nib.Nifti1Image,
    synth_fa: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    out_file: str | os.PathLike,
    *,
    names: tuple[str, str],
    limits: tuple[float, float] | None = None,
) -> Path:
    """Flicker figure: pointer or focus on it leads from the image before to the one after.

    Parameters
    ----------
    before, after : 3D image, or 4D image of three colours between 0 and 1
        The same slices and the same grey-value window are used for both.
    synth_fa : 3D image
        Synthetic FA, undistorted: its white matter is outlined in both, at `OUTLINED_FA`.
    brain_mask : 3D image
    out_file : path
    names : tuple of str
        What each of them shows.
    limits : tuple of float, optional
        Ends of the grey scale; a robust window of both images when omitted.
    """
    canvas = make_canvas(brain_mask)
    inside = canvas.read(brain_mask) > 0.5
    colour = "white" if before.ndim == 4 else WHITE_MATTER_COLOUR
    # contours are drawn at one half
    contours = ((canvas.read(synth_fa) * (0.5 / OUTLINED_FA), colour),)
    images = [_read(canvas, image) for image in (before, after)]
    if before.ndim == 4:
        limits = (0.0, 1.0)  # colours stand for themselves
    if limits is None:
        windows = [window(data, inside) for data in images]
        limits = (min(w[0] for w in windows), max(w[1] for w in windows))
    views = []
    for name, data in zip(names, images, strict=True):
        rows = [Row(data, axis, limits=limits, contours=contours) for axis in PLANES]
        rows[0] = Row(data, PLANES[0], name, "gray", limits, contours)
        fig = draw_rows(rows, canvas, footer_in=0.3)
        add_legend(fig, [(f"synthetic FA of {OUTLINED_FA}", colour)])
        views.append(to_svg(fig))
    return save_svg(flicker(*views), out_file)


def _read(canvas: Canvas, img: nib.Nifti1Image) -> np.ndarray:
    """Values, or colours, on the grid of a figure."""
    if img.ndim == 3:
        return canvas.read(img)
    return np.stack([canvas.read(part) for part in nib.four_to_three(img)], axis=-1).clip(0, 1)


def plot_field(
    field_hz: nib.Nifti1Image,
    background: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    mm_per_hz: float,
    out_file: str | os.PathLike,
    *,
    name: str = "field",
    std_hz: nib.Nifti1Image | None = None,
) -> Path:
    """Field map over the b0 reference, with a scale in Hz and one in mm.

    Parameters
    ----------
    field_hz : 3D image
        Off-resonance in Hz.
    background : 3D image
        b0 reference.
    brain_mask : 3D image
    mm_per_hz : float
        Displacement for each Hz: readout time x voxel size. `mm_per_hz` has no sign, so positive
        millimetres go with the phase-encoding direction, whatever its polarity.
    out_file : path
    name : str
        Text at the scale in Hz.
    std_hz : 3D image, optional
        Standard deviation of the field (Hz), drawn below it as one of the displacement; its root
        mean square in the brain is stated at the foot in both units.
    """
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    canvas = make_canvas(brain_mask)
    inside = canvas.read(brain_mask) > 0.5
    field, grey = canvas.read(field_hz), canvas.read(background)
    reach = _round_up(np.percentile(np.abs(field[inside]), 99))
    low, high = window(grey, inside)
    grey = np.clip((grey - low) / (high - low), 0, 1)[..., None]
    colours = colormaps[FIELD_COLOURS](Normalize(-reach, reach)(field))[..., :3]
    opacity = FIELD_OPACITY * inside[..., None]
    blended = (1 - opacity) * grey + opacity * colours
    rows, note = [Row(blended, axis) for axis in PLANES], ""
    if std_hz is not None:
        std = canvas.read(std_hz) * abs(mm_per_hz)
        rows += _spread_rows(np.where(inside, std, np.nan))
        mm = np.sqrt(np.mean(std[inside] ** 2))
        note = f"expected error (whole brain): ± {mm / abs(mm_per_hz):.2g} Hz, ± {mm:.2g} mm"
    fig = draw_rows(rows, canvas, footer_in=0.95)
    _draw_field_bar(fig, reach, mm_per_hz, name)
    fig.text(0.99, 0.02, note, color="white", fontsize=9, ha="right")
    return save_svg(to_svg(fig), out_file)


def _spread_rows(std_mm: np.ndarray) -> list[Row]:
    name = "standard deviation of the displacement"
    limits = (0.0, _round_up(float(np.nanpercentile(std_mm, 99))))
    return [
        Row(std_mm, axis, title=name, cmap="cividis", limits=limits, bar="SD (mm)")
        for axis in PLANES
    ]


def _draw_field_bar(fig, reach: float, mm_per_hz: float, name: str) -> None:
    """Colour bar at the foot of the figure: Hz below, mm above."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    height = fig.get_figheight()
    ax = fig.add_axes((0.3, 0.45 / height, 0.4, 0.12 / height))
    colours = ScalarMappable(Normalize(-reach, reach), FIELD_COLOURS)
    bar = fig.colorbar(colours, cax=ax, orientation="horizontal")
    bar.set_label(f"{name} (Hz)", color="white", fontsize=9)
    bar.ax.tick_params(colors="white", labelsize=8)
    if mm_per_hz:
        top = ax.secondary_xaxis(
            "top", functions=(lambda hz: hz * mm_per_hz, lambda mm: mm / mm_per_hz)
        )
        top.set_xlabel(
            "displacement along the phase-encoding axis (mm)", color="white", fontsize=9
        )
        top.tick_params(colors="white", labelsize=8)


def plot_motion(
    matrices: np.ndarray,
    fd: np.ndarray,
    out_file: str | os.PathLike,
    *,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Path:
    """Head motion over the series: translations, rotations and framewise displacement.

    Parameters
    ----------
    matrices : (N, 4, 4) array
        Rigid world-to-world transforms between the reference and each volume (mm).
    fd : (N,) array
        Framewise displacement in mm; NaN where it is not defined.
    out_file : path
    centre : tuple of float
        World point (mm) about which the head is said to rotate: take the middle of the brain,
        otherwise a rotation far from the origin looks like a translation.
    """
    from matplotlib.figure import Figure

    parameters = np.array([rigid_parameters(m, np.asarray(centre, float)) for m in matrices])
    rotations, translations = np.rad2deg(parameters[:, :3]), parameters[:, 3:]
    fig = Figure(figsize=(11, 6), facecolor="white", layout="constrained")
    axes = fig.subplots(3, 1, sharex=True)
    volumes = np.arange(len(translations))
    colours, marks = ("#0072B2", "#D55E00", "#009E73"), ("o", "s", "^")
    for ax, values, label in (
        (axes[0], translations, "translation (mm)"),
        (axes[1], rotations, "rotation (degrees)"),
    ):
        for values_1d, name, colour, mark in zip(values.T, "xyz", colours, marks, strict=True):
            ax.plot(volumes, values_1d, color=colour, marker=mark, markersize=3, label=name)
        ax.set_ylabel(label)
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    axes[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes[2].plot(volumes, fd, color="black", marker="o", markersize=3)
    axes[2].fill_between(volumes, 0, fd, color="0.85")
    axes[2].set(ylabel="framewise\ndisplacement (mm)", xlabel="volume", ylim=(0, None))
    axes[2].xaxis.get_major_locator().set_params(integer=True)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return save_svg(to_svg(fig), out_file)


def plot_displacement(
    displacement_mm: nib.Nifti1Image, brain_mask: nib.Nifti1Image, out_file: str | os.PathLike
) -> Path:
    """Histogram of how far brain voxels were moved along the phase-encoding axis.

    Parameters
    ----------
    displacement_mm : 3D image
        Signed displacement in mm.
    brain_mask : 3D image
    out_file : path
    """
    from matplotlib.figure import Figure

    canvas = make_canvas(brain_mask)
    size = np.abs(canvas.read(displacement_mm)[canvas.read(brain_mask) > 0.5])
    fig = Figure(figsize=(9, 3.2), facecolor="white", layout="constrained")
    ax = fig.subplots()
    share = np.full(size.size, 100 / size.size)
    ax.hist(size, bins=50, range=(0, max(float(size.max()), 0.1)), weights=share, color="#56B4E9")
    for value, name, style in (
        (np.median(size), "median", "-"),
        (np.percentile(size, 95), "95th percentile", "--"),
        (size.max(), "largest", ":"),
    ):
        ax.axvline(value, color="black", linestyle=style, label=f"{name} {value:.1f} mm")
    ax.set(xlabel="displacement (mm)", ylabel="share of brain voxels (%)", xlim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return save_svg(to_svg(fig), out_file)


def _round_up(value: float) -> float:
    """Next number with one significant digit of 1, 1.5, 2, 3, 4, 5, 6, 8: a readable scale end."""
    if not np.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10]) * power
    return float(steps[np.searchsorted(steps, value * (1 - 1e-9))])
