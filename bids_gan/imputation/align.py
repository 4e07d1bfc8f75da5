"""From a person's scans to what a CollaGAN knows: one grid, white matter near 1, brain only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_gan.errors import DataError
from bids_gan.geometry import resample, to_ras
from bids_gan.images import load_volume
from bids_gan.pairs.measured import in_units, register_to_t1w
from bids_gan.synthesis.generate import crop_to_brain

if TYPE_CHECKING:
    from bids_gan.anatomy.prepare import Anatomy

#: share of the brain that an image must show
COVERED = 0.9


@dataclass(frozen=True)
class AlignedContrasts:
    """Contrasts of one person on one RAS+ 1 mm grid, cropped to the brain.

    Attributes
    ----------
    images : dict of (I, J, K) float32 arrays
        By contrast; white matter near 1, zero outside the mask.
    mask : (I, J, K) bool array
        Brain.
    affine : (4, 4) array
        Voxel to world of the reference (mm).
    """

    images: dict[str, np.ndarray]
    mask: np.ndarray
    affine: np.ndarray


def align_contrasts(
    anatomy: Anatomy, paths: Mapping[str, Path], reference: str
) -> AlignedContrasts:
    """Register scans rigidly to the reference and scale each to its white matter.

    Parameters
    ----------
    anatomy : Anatomy
        Of the reference, see :func:`bids_gan.anatomy.contrast.prepare_anatomy`.
    paths : mapping of Path
        By contrast, images in any orientation; the reference among them.
    reference : str

    Raises
    ------
    DataError
        When a scan cannot be read, or shows too little of the brain.
    """
    t1w, mask, affine = crop_to_brain(anatomy)

    def aligned(contrast: str, path: Path) -> np.ndarray:
        if contrast == reference == "T1w":  # the anatomy is of this very image
            return t1w
        scan = to_ras(load_volume(path))
        data = np.asarray(scan.dataobj, np.float32)
        pull = np.eye(4)
        if contrast != reference:
            pull = register_to_t1w(data, scan.affine, anatomy)
        grid = (scan.affine, mask.shape, affine)
        seen = resample(np.ones_like(data), *grid, target_to_source=pull)[mask].mean()
        if seen < COVERED:
            raise DataError(f"{path}: shows {seen:.0%} of the brain, {COVERED:.0%} is needed")
        data = in_units(contrast, data, scan.affine, anatomy, pull, str(path))
        image = np.maximum(resample(data, *grid, target_to_source=pull, order=3), 0)
        return np.where(mask, image, 0).astype(np.float32)

    images = {contrast: aligned(contrast, path) for contrast, path in paths.items()}
    return AlignedContrasts(images, mask, affine)
