"""One low-noise b=0 image to which everything else is aligned."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.gradients import B0_MAX, Gradients
from bids_gan.diffusion.mask import b0_mask
from bids_gan.diffusion.rigid import RigidAligner
from bids_gan.errors import DataError
from bids_gan.images import open_image

_OUTLIER_SIGMA = 3.0


def b0_reference(img: nib.Nifti1Image, gradients: Gradients) -> nib.Nifti1Image:
    """Robust mean of the b=0 volumes, aligned with the first of them.

    Parameters
    ----------
    img : 4D image
    gradients : Gradients
        Marks the volumes with b ≤ 50 s/mm², or the lowest-b ones where there are none.

    Returns
    -------
    3D float32 image on the grid of `img`
    """
    return _mean(np.asarray(img.dataobj, np.float32)[..., gradients.is_b0], img.affine)


def load_b0(path: Path, bval: Path | None) -> nib.Nifti1Image:
    """Robust mean of the volumes of an EPI file that are not diffusion-weighted.

    Parameters
    ----------
    path : Path
        3D or 4D image.
    bval : Path or None
        b-values (s/mm²) of its volumes; without, all count.

    Raises
    ------
    DataError
        When the image cannot be read, no volume is left, or the b-values do not fit.
    """
    img = open_image(path)
    volumes = np.asarray(img.dataobj, np.float32).reshape(*img.shape[:3], -1)
    if bval is not None:
        weights = np.loadtxt(bval, ndmin=1).ravel()
        if len(weights) != volumes.shape[3]:
            raise DataError(
                f"{bval}: {len(weights)} b-values for the {volumes.shape[3]} volumes of {path}"
            )
        volumes = volumes[..., weights <= B0_MAX]
    if not volumes.shape[3]:
        raise DataError(f"{path}: no volume with b ≤ {B0_MAX:g} s/mm² in {bval}")
    return _mean(volumes, img.affine)


def _mean(volumes: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Robust mean of (I, J, K, N) volumes, aligned with the first of them."""
    first = volumes[..., 0]
    if volumes.shape[3] == 1:
        return nib.Nifti1Image(first, affine)
    mask = ndimage.binary_dilation(b0_mask(first, affine), iterations=2)
    aligner = RigidAligner(first, mask, affine)
    aligned = [first]
    for n in range(1, volumes.shape[3]):
        matrix = aligner.align(volumes[..., n]).matrix
        aligned.append(move(volumes[..., n], affine, matrix))
    return nib.Nifti1Image(robust_mean(np.stack(aligned, axis=-1)), affine)


def move(volume: np.ndarray, affine: np.ndarray, matrix: np.ndarray, order: int = 3) -> np.ndarray:
    """Resample a volume onto its own grid through a world pull matrix."""
    pull = np.linalg.inv(affine) @ matrix @ affine
    moved = ndimage.affine_transform(volume, pull, order=order, mode="nearest", output=np.float32)
    return moved.clip(volume.min(), volume.max())


def robust_mean(volumes: np.ndarray) -> np.ndarray:
    """Mean over the last axis without values far from the median (by the median deviation)."""
    centre = np.median(volumes, axis=-1, keepdims=True)
    deviation = np.abs(volumes - centre)
    limit = _OUTLIER_SIGMA * 1.4826 * np.median(deviation, axis=-1, keepdims=True)
    kept = deviation <= np.maximum(limit, 1e-6)
    return np.mean(volumes, axis=-1, where=kept).astype(np.float32)
