"""What each label of a whole-head label map is made of.

Images are linear in these fractions (the signal of a voxel is the sum over its tissues), so every
lookup table of the simulation is ``label_composition() @ value_of_each_tissue``.
"""

from __future__ import annotations

import functools

import numpy as np

TABLE_SIZE = 1024

TISSUES = (
    "air", "csf", "grey", "white", "pallidum", "lesion", "blood", "muscle", "fat", "skin",
    "mucosa", "cortical bone", "marrow", "vitreous",
)  # fmt: skip

#: Left and right have one value here, see :func:`bids_gan.simulate.labels.load_label_map`.
LABEL_NAMES = {
    0: "air", 2: "cerebral white matter", 3: "cerebral cortex", 4: "lateral ventricle",
    5: "inferior lateral ventricle", 7: "cerebellar white matter", 8: "cerebellar cortex",
    10: "thalamus", 11: "caudate", 12: "putamen", 13: "pallidum", 14: "third ventricle",
    15: "fourth ventricle", 16: "brainstem", 17: "hippocampus", 18: "amygdala",
    24: "fluid over the brain", 25: "white matter along the ventricles",
    26: "accumbens", 28: "ventral diencephalon", 30: "vessel", 72: "fifth ventricle",
    85: "optic chiasm", 136: "behind the thalamus (left)", 163: "behind the thalamus (right)",
}  # fmt: skip
#: Values from 500 on, told from where they lie in the label maps (see ``docs/simulation.md``).
OUTSIDE_LABELS = {
    502: "arteries of the neck and the skull base",
    506: "eyeballs",
    507: "soft tissue: muscle, fat, glands",
    508: "muscles of the eye",
    509: "mucosa of the nasal cavity",
    511: "skin",
    512: "spinal cord",
    514: "veins and venous sinuses",
    515: "cortical bone",
    516: "cancellous bone, marrow",
    530: "optic nerve",
}
SOFT_TISSUE = 507
#: what :mod:`bids_gan.simulate.head` divides soft tissue into; no label map holds these values
SOFT_FAT, SOFT_MUSCLE = 540, 541
#: lesion of the white matter, FreeSurfer's value; the simulation paints it, label maps lack it
LESION = 77

_WHITE = {"white": 1.0}
_GREY = {"grey": 1.0}
_CSF = {"csf": 1.0}
_COMPOSITION = {
    0: {"air": 1.0},
    2: _WHITE, 3: _GREY, 4: _CSF, 5: _CSF, 14: _CSF, 15: _CSF, 72: _CSF,
    # membranes and small vessels cross the fluid over the brain
    24: {"csf": 0.92, "grey": 0.08},
    7: {"white": 0.93, "grey": 0.07}, 8: {"grey": 0.92, "white": 0.08},
    # the thalamus and the striatum are grey matter crossed by myelinated fibres
    10: {"grey": 0.5, "white": 0.5}, 11: {"grey": 0.85, "white": 0.15},
    12: {"grey": 0.7, "white": 0.3}, 13: {"pallidum": 1.0},
    16: {"white": 0.75, "grey": 0.25}, 17: {"grey": 0.95, "white": 0.05}, 18: _GREY,
    26: {"grey": 0.9, "white": 0.1}, 28: {"white": 0.65, "grey": 0.35},
    25: {"white": 0.5, "lesion": 0.5},  # caps and bands along the ventricles
    30: {"blood": 0.5, "csf": 0.5}, 85: _WHITE,
    136: {"grey": 0.8, "white": 0.2}, 163: {"grey": 0.8, "white": 0.2},  # behind the thalamus
    502: {"blood": 1.0}, 506: {"vitreous": 1.0}, 507: {"muscle": 0.55, "fat": 0.45},
    508: {"muscle": 1.0}, 509: {"mucosa": 1.0}, 511: {"skin": 1.0},
    512: {"white": 0.7, "grey": 0.3}, 514: {"blood": 1.0}, 515: {"cortical bone": 1.0},
    516: {"marrow": 0.75, "cortical bone": 0.25}, 530: _WHITE, LESION: {"lesion": 1.0},
    SOFT_FAT: {"fat": 0.95, "muscle": 0.05}, SOFT_MUSCLE: {"muscle": 0.92, "fat": 0.08},
}  # fmt: skip


@functools.cache
def label_composition() -> np.ndarray:
    """Fraction of each tissue in each label.

    Returns
    -------
    (1024, T) float64 array, read-only
        Row: label value, column: tissue in the order of `TISSUES`. Rows sum to one; values that
        no label map holds are air.
    """
    table = np.zeros((TABLE_SIZE, len(TISSUES)))
    table[:, TISSUES.index("air")] = 1.0
    for label, parts in _COMPOSITION.items():
        table[label] = [parts.get(tissue, 0.0) for tissue in TISSUES]
    table.flags.writeable = False
    return table
