"""Whole-head label maps: their values, the classes of the anatomy network, random contrasts.

Label values follow FreeSurfer inside the head; values from 500 on are tissue outside the brain.
"""

from __future__ import annotations

import functools
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.errors import DataError

#: FreeSurfer labels of each class of the anatomy network, in the order of its outputs (STRUCTURES
#: of bids_gan.anatomy.segment); ventral diencephalon, hippocampus and amygdala are deep grey
CLASS_LABELS = (
    (), (4, 5, 14, 15, 24, 72), (3,), (10, 11, 12, 13, 17, 18, 26, 28, 136, 163), (2, 25, 30, 85),
    (8,), (7,), (16,),
)  # fmt: skip
#: FreeSurfer label of the fluid over the brain
OUTER_FLUID = 24

#: FreeSurfer label -> mean T1w intensity relative to white matter
BRAIN_LABELS = {
    2: 1.0, 3: 0.68, 4: 0.2, 5: 0.2, 7: 0.98, 8: 0.68, 10: 0.86, 11: 0.72, 12: 0.8, 13: 0.92,
    14: 0.2, 15: 0.2, 16: 0.92, 17: 0.68, 18: 0.7, 24: 0.2, 25: 0.85, 26: 0.75, 28: 0.9, 30: 0.3,
    72: 0.2, 85: 0.85, 136: 0.7, 163: 0.7,
}  # fmt: skip
RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18,
    57: 25, 58: 26, 60: 28, 62: 30, 137: 136, 164: 163,
}  # fmt: skip
FIRST_OUTSIDE = 500


def find_label_map(folder: Path, person: str) -> Path:
    """The one file ``*seg_<person>.nii.gz`` of a folder.

    Raises
    ------
    DataError
        When there is none, or more than one.
    """
    pattern = f"*seg_{person}.nii.gz"
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"{folder}: {len(found)} files match {pattern}, one is needed")
    return found[0]


def load_label_map(path: Path) -> np.ndarray:
    """Read a label map as RAS+ (I, J, K) int16 with left and right labels merged.

    Raises
    ------
    ValueError
        For a brain label that is not known.
    """
    values = np.asanyarray(nib.as_closest_canonical(nib.load(path)).dataobj).astype(np.int16)
    labels = _merged()[values.view(np.uint16)]
    if (unknown := labels < 0).any():
        raise ValueError(f"{path}: labels {np.unique(values[unknown]).tolist()} are not known")
    return labels


@functools.cache
def _merged() -> np.ndarray:
    """Lookup table to the label of the left side; -1 for a value that is none."""
    table = np.full(2**16, -1, np.int16)
    table[FIRST_OUTSIDE : 2**15] = range(FIRST_OUTSIDE, 2**15)
    table[0] = 0
    table[list(BRAIN_LABELS)] = list(BRAIN_LABELS)
    table[list(RIGHT_TO_LEFT)] = list(RIGHT_TO_LEFT.values())
    return table


def class_table(size: int = 1024) -> np.ndarray:
    """Lookup table from label value to the index of its class in :data:`CLASS_LABELS`."""
    table = np.zeros(size, np.int64)
    for index, labels in enumerate(CLASS_LABELS):
        table[list(labels)] = index
    return table


def random_contrast(rng: np.random.Generator, size: int = 1024) -> np.ndarray:
    """Lookup table from label value to a random mean intensity.

    The tissues of the brain keep the order that they have in T1w images, with wide jitter; tissue
    outside the brain is arbitrary.
    """
    table = rng.uniform(0.0, 1.5, size)
    table[0] = rng.uniform(0, 0.1)
    spread = rng.uniform(0.7, 1.3)
    for label, mean in BRAIN_LABELS.items():
        table[label] = max(1 - spread * (1 - mean) + rng.normal(0, 0.06), 0.02)
    return table
