"""A label map made ready for simulation: cleaned, soft tissue divided, white matter with FA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bids_gan.geometry import box_affine, box_around, mask_bounds
from bids_gan.simulate.composition import (
    SOFT_FAT,
    SOFT_MUSCLE,
    SOFT_TISSUE,
    TISSUES,
    label_composition,
)
from bids_gan.simulate.labels import FIRST_OUTSIDE, OUTER_FLUID
from bids_gan.simulate.person import white_matter_fa
from bids_gan.simulate.tracts import bundle_lines, fibre_pattern

#: Rough centres in MNI mm: one side of paired structures (x > 0), then structures on the midline.
_PAIRED = {
    8: (25, -64, -35), 10: (11, -19, 7), 11: (13, 10, 10), 12: (26, 3, 0), 13: (20, -5, -1),
    17: (27, -22, -14), 18: (23, -5, -19), 26: (10, 12, -7),
}  # fmt: skip
_MIDLINE = {14: (0, -13, 0), 16: (0, -27, -32)}
#: How far cortex reaches in MNI space: world axis, towards, mm
_EXTENTS = ((0, 1, 69), (0, -1, -69), (1, 1, 71), (1, -1, -104), (2, 1, 79))
_MARGIN = 8


@dataclass(frozen=True)
class Head:
    """A label map at 1 mm, cropped to the head, voxel axes right, anterior, superior.

    Attributes
    ----------
    labels : (I, J, K) int16 array
        Label values; soft tissue outside the skull is divided into fat and muscle.
    white_fa : (I, J, K) float16 array
        FA that pure white matter has; zero where there is none.
    centre : (3,) array
        Middle of the brain, in voxels.
    to_mni : (4, 4) array
        Voxels to MNI mm, an affine fit to the centres of structures.
    """

    labels: np.ndarray
    white_fa: np.ndarray
    centre: np.ndarray
    to_mni: np.ndarray


def brain_mask(labels: np.ndarray, spacing: float = 1.0) -> np.ndarray:
    """Brain with the fluid around it, (I, J, K) bool.

    The fluid of label 24 goes on around the spinal cord; here it ends 12 mm below the brain.
    Vessels inside the brain belong to it.
    """
    inside = (labels > 0) & (labels < FIRST_OUTSIDE)
    tissue = (inside & (labels != OUTER_FLUID)).astype(np.uint8)
    reach = 2 * round(12 / spacing) + 1
    outside, _ = ndimage.label(~(inside & (ndimage.maximum_filter(tissue, reach) > 0)))
    return outside != np.bincount(outside.ravel())[1:].argmax() + 1


def prepare_head(labels: np.ndarray) -> Head:
    """Prepare a label map.

    Parameters
    ----------
    labels : (I, J, K) int16 array
        As :func:`bids_gan.simulate.labels.load_label_map` returns it.

    Raises
    ------
    ValueError
        If the map has no brain or not its deep structures.
    """
    labels = _divide_soft_tissue(_clean(labels[box_around(labels > 0, _MARGIN)]))
    to_mni = fit_mni(labels)
    brain = brain_mask(labels)
    low, high = mask_bounds(brain)
    return Head(labels, _white_fa(labels, brain, to_mni), (low + high) / 2, to_mni)


def fit_mni(labels: np.ndarray) -> np.ndarray:
    """Affine from the voxels of a RAS+ 1 mm label map to MNI mm.

    Least squares over the centres of deep structures on both sides and the reach of the cortex.

    Raises
    ------
    ValueError
        For a label map without the structures of the middle.
    """
    missing = [label for label in (*_PAIRED, *_MIDLINE, 3) if not (labels == label).any()]
    if missing:
        raise ValueError(f"labels {missing} are missing: the map is no whole brain")
    equations = [[], [], []]
    middle = np.argwhere(np.isin(labels, list(_MIDLINE)))[:, 0].mean()
    for label, place in _PAIRED.items():
        voxels = np.argwhere(labels == label)
        for side in (1, -1):
            half = voxels[(voxels[:, 0] - middle) * side > 0]
            for axis, value in enumerate(np.array(place) * (side, 1, 1)):
                equations[axis].append((*half.mean(axis=0), 1, value))
    for label, place in _MIDLINE.items():
        for axis, value in enumerate(place):
            equations[axis].append((*np.argwhere(labels == label).mean(axis=0), 1, value))
    to_mni = _solve(equations)
    cortex = np.argwhere(labels == 3)
    for _ in range(3):  # where the cortex ends along an axis depends on the fit
        reach = []
        for axis, side, value in _EXTENTS:
            along = side * (cortex @ to_mni[axis, :3])
            end = cortex[along > np.quantile(along, 0.999)].mean(axis=0)
            reach.append((axis, (*end, 1, value)))
        to_mni = _solve(
            [rows + [r for a, r in reach if a == axis] for axis, rows in enumerate(equations)]
        )
    return to_mni


def _solve(equations: list[list[tuple]]) -> np.ndarray:
    """Affine whose rows fit (x, y, z, 1, value) tuples in the least-squares sense."""
    to_mni = np.eye(4)
    for axis, rows in enumerate(equations):
        rows = np.array(rows, float)
        to_mni[axis] = np.linalg.lstsq(rows[:, :4], rows[:, 4], rcond=None)[0]
    return to_mni


def _clean(labels: np.ndarray) -> np.ndarray:
    """Drop specks outside the head, and fill specks of air inside it from their neighbours."""
    pieces, _ = ndimage.label(labels > 0)
    sizes = np.bincount(pieces.ravel())
    head = pieces == sizes[1:].argmax() + 1
    holes, _ = ndimage.label(~head)
    sizes = np.bincount(holes.ravel())
    speck = (sizes < 60)[holes] & ~head
    nearest = ndimage.distance_transform_edt(~head, return_distances=False, return_indices=True)
    cleaned = np.where(head, labels, 0).astype(np.int16)
    cleaned[speck] = labels[tuple(n[speck] for n in nearest)]
    return cleaned


def _divide_soft_tissue(labels: np.ndarray) -> np.ndarray:
    """Fat under the skin, around the eyes and between the muscles; the rest is muscle."""
    soft = labels == SOFT_TISSUE
    rng = np.random.default_rng(0)  # the anatomy of a label map is always the same
    noise = ndimage.gaussian_filter(rng.standard_normal(labels.shape, np.float32), (4, 4, 12))
    noise /= noise.std()
    outer = ndimage.distance_transform_edt((labels != 511) & (labels != 0))
    eye = ndimage.distance_transform_edt(~np.isin(labels, (506, 508, 530)))
    # where smooth noise crosses zero are sheets, as fat lies between muscles
    fat = (outer < 4.5 + noise) | (eye < 9 + noise) | (np.abs(noise) < 0.11)
    divided = labels.copy()
    divided[soft & fat] = SOFT_FAT
    divided[soft & ~fat] = SOFT_MUSCLE
    return divided


def _white_fa(labels: np.ndarray, brain: np.ndarray, to_mni: np.ndarray) -> np.ndarray:
    window = box_around(brain, 0)
    fraction = label_composition()[:, TISSUES.index("white")].astype(np.float32)
    white = ndimage.gaussian_filter(fraction[labels[window]] * brain[window], 0.6)
    from_mni = np.linalg.inv(to_mni)
    lines = [
        (radius, points @ from_mni[:3, :3].T + from_mni[:3, 3])
        for radius, points in bundle_lines()
    ]
    _, coherence = fibre_pattern(white, box_affine(np.eye(4), window), lines)
    fa = np.zeros(labels.shape, np.float16)
    fa[window] = white_matter_fa(white, coherence, 1.0) * (white > 0.05)
    return fa
