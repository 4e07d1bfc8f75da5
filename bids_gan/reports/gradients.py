"""The figure of a diffusion protocol: directions on the sphere, volumes of each shell."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bids_gan.reports.svg import save_svg, to_svg

# Okabe and Ito (2008)
SHELL_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7")
#: s/mm²; b-values that round to the same multiple are one shell
SHELL_WIDTH = 100


def plot_gradients(bvals: np.ndarray, directions: np.ndarray, out_file: str | os.PathLike) -> Path:
    """Diffusion directions on the sphere, and how many volumes each shell has.

    Parameters
    ----------
    bvals : (N,) array
        b-values in s/mm².
    directions : (N, 3) array
        Unit directions in world axes; zero where there is none.
    out_file : path
    """
    from matplotlib.figure import Figure

    fig = Figure(figsize=(10, 5), facecolor="white", layout="constrained")
    sphere = fig.add_subplot(1, 2, 1, projection="3d")
    counts = fig.add_subplot(1, 2, 2)
    _draw_sphere(sphere)
    shells = (np.round(bvals / SHELL_WIDTH) * SHELL_WIDTH).astype(int)
    values = np.unique(shells)
    for n, shell in enumerate(values):
        colour, mark = SHELL_COLOURS[n % len(SHELL_COLOURS)], "os^Dv"[n % 5]
        mine = directions[(shells == shell) & directions.any(axis=1)]
        # a direction and its opposite are the same measurement: both sides show gaps
        for sign, face in ((1, colour), (-1, "none")):
            sphere.scatter(*(sign * mine.T), marker=mark, facecolors=face, edgecolors=colour, s=22)
        counts.bar_label(counts.barh(n, (shells == shell).sum(), color=colour), padding=3)
    counts.set_yticks(range(len(values)), [f"b = {shell}" for shell in values])
    counts.set(xlabel="volumes", ylabel="shell (s/mm²)")
    counts.set_ylim(max(len(values), 4) - 0.5, -0.5)
    counts.margins(x=0.1)
    counts.xaxis.get_major_locator().set_params(integer=True)
    counts.spines[["top", "right"]].set_visible(False)
    return save_svg(to_svg(fig), out_file)


def _draw_sphere(ax) -> None:
    """Wire frame of the unit sphere with the sides of the person."""
    along, around = np.mgrid[0 : np.pi : 13j, 0 : 2 * np.pi : 25j]
    grid = np.sin(along) * np.cos(around), np.sin(along) * np.sin(around), np.cos(along)
    ax.plot_wireframe(*grid, color="0.85", linewidth=0.5)
    for axis, ends in enumerate(("LR", "PA", "IS")):
        for sign, letter in zip((-1, 1), ends, strict=True):
            ax.text(*(sign * 1.25 * np.eye(3)[axis]), letter, ha="center", va="center")
    ax.set_box_aspect((1, 1, 1), zoom=1.35)
    ax.set_axis_off()
