"""How far an image made in tiles lies from the one that is made at once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bids_gan.gan.inference import tile_starts

#: image by edge of the tiles (None: at once) and overlap
MakeImage = Callable[[int | None, float], np.ndarray]


@dataclass(frozen=True)
class TilingResult:
    """One way to make the image, against the whole volume at once.

    Attributes
    ----------
    tile : int or None
        Edge of the tiles in voxels; None for the whole volume.
    overlap : float
        Share of the edge.
    difference : float
        Mean absolute difference in the mask, in the unit of the image.
    share : float
        The same as a share of the range of the image.
    seam : float
        See :func:`seam_excess`.
    seconds : float
        That the image took.
    """

    tile: int | None
    overlap: float
    difference: float
    share: float
    seam: float
    seconds: float


def compare_tilings(
    make: MakeImage, mask: np.ndarray, tiles: Sequence[int], overlaps: Sequence[float]
) -> Iterator[TilingResult]:
    """The whole volume first, then every tile size at every overlap.

    Parameters
    ----------
    make : callable
        Gives the image (I, J, K).
    mask : (I, J, K) bool array
        Where to compare.
    tiles : sequence of int
    overlaps : sequence of float
    """
    whole, seconds = _timed(make, None, 0.0)
    yield TilingResult(None, 0.0, 0.0, 0.0, 0.0, seconds)
    low, high = np.percentile(whole[mask], (1, 99))
    for tile, overlap in itertools.product(tiles, overlaps):
        image, seconds = _timed(make, tile, overlap)
        difference = float(np.abs(image - whole)[mask].mean())
        share = difference / float(high - low) if high > low else float("nan")
        seam = seam_excess(image, whole, mask, tile, overlap)
        yield TilingResult(tile, overlap, difference, share, seam, seconds)


def seam_excess(
    image: np.ndarray, whole: np.ndarray, mask: np.ndarray, tile: int, overlap: float
) -> float:
    """How much steeper an image is where one tile gives way to the next.

    Parameters
    ----------
    image, whole : (I, J, K) array
        Made in tiles, and at once.
    mask : (I, J, K) bool array
    tile : int
    overlap : float

    Returns
    -------
    float
        Mean absolute step across those planes over that of the whole image there, minus one; not
        a number where there is no such plane in the mask.
    """
    steps = {"image": 0.0, "whole": 0.0}
    for axis, length in enumerate(image.shape):
        starts = tile_starts(length, tile, overlap)
        # halfway through what two tiles share both weigh the same
        planes = np.array([(a + tile + b) // 2 for a, b in itertools.pairwise(starts)], int)
        inside = np.take(mask, planes, axis) & np.take(mask, planes - 1, axis)
        for name, values in (("image", image), ("whole", whole)):
            step = np.abs(np.take(values, planes, axis) - np.take(values, planes - 1, axis))
            steps[name] += float(step[inside].sum())
    return steps["image"] / steps["whole"] - 1 if steps["whole"] else float("nan")


def tiling_table(results: Sequence[TilingResult], unit: str) -> str:
    """Markdown, one row a way to make the image."""
    lines = [
        f"| tile | overlap | mean difference ({unit or 'no unit'}) | of the range "
        "| seam excess | s |",
        "|---|---|---|---|---|---|",
    ]
    for row in results:
        if row.tile is None:
            lines.append(f"| whole | – | – | – | – | {row.seconds:.1f} |")
            continue
        lines.append(
            f"| {row.tile}³ | {row.overlap:.0%} | {row.difference:.3g} | {row.share:.2%} "
            f"| {row.seam:+.0%} | {row.seconds:.1f} |"
        )
    return "\n".join(lines)


def _timed(make: MakeImage, tile: int | None, overlap: float) -> tuple[np.ndarray, float]:
    began = time.perf_counter()
    image = make(tile, overlap)
    return image, time.perf_counter() - began
