"""One low-noise b=0 image to which everything else is aligned."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.gradients import Gradients
from bids_gan.diffusion.mask import b0_mask
from bids_gan.diffusion.rigid import RigidAligner

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
    volumes = np.asarray(img.dataobj, np.float32)[..., gradients.is_b0]
    first = volumes[..., 0]
    if volumes.shape[3] == 1:
        return nib.Nifti1Image(first, img.affine)
    mask = ndimage.binary_dilation(b0_mask(first, img.affine), iterations=2)
    aligner = RigidAligner(first, mask, img.affine)
    aligned = [first]
    for n in range(1, volumes.shape[3]):
        matrix = aligner.align(volumes[..., n]).matrix
        aligned.append(move(volumes[..., n], img.affine, matrix))
    return nib.Nifti1Image(robust_mean(np.stack(aligned, axis=-1)), img.affine)


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
