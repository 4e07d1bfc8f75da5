"""A label map the size of a fist with every structure that the simulation looks for."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

SCALE = 0.27  # of an MNI brain
WHITE, GREY, FLUID = 2, 3, 4
MIDDLE = np.array([28, 33, 26])
_BALLS = {
    2: [((24, -20, 20), 36), ((0, 0, 20), 22)],
    7: [((14, -62, -35), 10)], 8: [],
    4: [((12, -10, 18), 9)], 10: [((11, -19, 7), 10)], 11: [((13, 10, 10), 8)],
    12: [((26, 3, 0), 9)], 13: [((18, -5, -3), 6)], 17: [((27, -22, -14), 7)],
    18: [((23, -5, -19), 7)], 26: [((10, 12, -8), 6)], 14: [((0, -13, 0), 6)],
    16: [((0, -27, -32), 13)],
}  # fmt: skip


def head_map() -> np.ndarray:
    """(57, 65, 57) int16, RAS+, 1 mm; left and right merged."""
    index = np.moveaxis(np.indices((57, 65, 57)), 0, -1) - MIDDLE
    mni = index / SCALE - (0, 16, -8)
    labels = np.zeros(index.shape[:3], np.int16)

    def distance(centre, radii):
        return np.sqrt((((mni - centre) / radii) ** 2).sum(-1))

    whole = np.array((72, 90, 72))
    for label, grow in ((511, 32), (507, 26), (515, 14), (24, 6), (3, 0)):
        labels[distance((0, -16, 8), whole + grow) <= 1] = label
    labels[distance((25, -64, -35), (24, 24, 18)) <= 1] = 8
    labels[distance((-25, -64, -35), (24, 24, 18)) <= 1] = 8
    for label, balls in _BALLS.items():
        for centre, radius in balls:
            for side in (1, -1):
                labels[distance(np.array(centre) * (side, 1, 1), radius) <= 1] = label
    labels[distance((0, 90, -30), 14) <= 1] = 506
    return labels


def nested_tissues() -> np.ndarray:
    """(40, 40, 40) int16: white matter around a ventricle, in cortex."""
    labels = np.zeros((40, 40, 40), np.int16)
    labels[4:36, 4:36, 4:36] = GREY
    labels[8:32, 8:32, 8:32] = WHITE
    labels[18:22, 18:22, 18:22] = FLUID
    return labels


def save_head_map(folder: Path, name: str = "head_01.nii.gz") -> Path:
    """Write the map as the label maps of the wild are: LIA."""
    ras = nib.Nifti1Image(head_map(), np.eye(4))
    flip = nib.orientations.axcodes2ornt("LIA")
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(ras.as_reoriented(nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), flip)), folder / name)  # fmt: skip
    return folder / name
