"""Apply a field map and head motion to a diffusion series: one interpolation for both."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.distortion.units import hz_to_voxels, jacobian, world_displacement
from bids_gan.geometry import pe_axis_sign

_NIFTI_INTENT_VECTOR = 1007
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
#: a voxel that recorded the signal of two places: neither can be told from the other
_TWO_IN_ONE = 0.5


def correct_series(
    img: nib.Nifti1Image,
    field_hz: np.ndarray,
    pe_direction: str,
    readout_time: float,
    motion: np.ndarray | None = None,
    *,
    modulate: bool = True,
) -> nib.Nifti1Image:
    """Correct an image or series for susceptibility distortion and head motion.

    Parameters
    ----------
    img : 3D or 4D image
        Recorded (distorted) signal.
    field_hz : (I, J, K) array
        Field on the grid of `img`, at the corrected positions; zeros to correct motion only.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.
    motion : (N, 4, 4) array, optional
        Pull matrices from the world of the distorted reference to the world of each volume.
    modulate : bool
        Multiply by the Jacobian, which undoes pile-up. Right for signal, wrong for ratios
        such as FA.

    Returns
    -------
    image of the shape and affine of `img`, float32

    Notes
    -----
    Cubic interpolation, clipped to the range of each recorded volume because splines overshoot.
    Positions outside the recorded field of view are zero. The motion was measured between
    distorted images, so a corrected position is first displaced and then moved.
    """
    data = np.asarray(img.dataobj, np.float32)
    series = data[..., None] if data.ndim == 3 else data
    field_hz = np.asarray(field_hz)
    if field_hz.shape != series.shape[:3]:
        raise ValueError(f"field of shape {field_hz.shape} for an image of {series.shape[:3]}")
    if motion is not None and len(motion) != series.shape[3]:
        raise ValueError(f"{len(motion)} motion matrices for {series.shape[3]} volumes")

    axis, _ = pe_axis_sign(pe_direction)
    shift = hz_to_voxels(field_hz, pe_direction, readout_time)
    displaced = np.indices(shift.shape, dtype=float)
    displaced[axis] += shift
    weight = jacobian(shift, axis).clip(min=0).astype(np.float32) if modulate else np.float32(1)

    corrected = np.empty_like(series)
    to_voxel = np.linalg.inv(img.affine)
    for n in range(series.shape[3]):
        where = displaced
        if motion is not None:
            pull = to_voxel @ motion[n] @ img.affine
            where = np.tensordot(pull[:3, :3], displaced, 1) + pull[:3, 3, None, None, None]
        corrected[..., n] = weight * _sample(series[..., n], where)
    return nib.Nifti1Image(corrected.reshape(data.shape), img.affine)


def piled_up(
    field_hz: np.ndarray, pe_direction: str, readout_time: float, brain: np.ndarray
) -> np.ndarray:
    """Where the corrected image shows one recorded value in two places or more.

    The Jacobian gives each of them its share of the signal, but what told them apart is lost:
    one blip cannot bring it back.

    Parameters
    ----------
    field_hz : (I, J, K) array
        Field at the corrected positions.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.
    brain : (I, J, K) bool array

    Returns
    -------
    (I, J, K) bool array
    """
    axis, _ = pe_axis_sign(pe_direction)
    shift = hz_to_voxels(field_hz, pe_direction, readout_time)
    return (jacobian(shift, axis) <= _TWO_IN_ONE) & brain


def itk_displacement(
    field_hz: np.ndarray, affine: np.ndarray, pe_direction: str, readout_time: float
) -> nib.Nifti1Image:
    """Displacement field with which ITK and ANTs resample the distorted image.

    Parameters
    ----------
    field_hz : (I, J, K) array
    affine : (4, 4) array
        Voxel to world (mm, RAS+).

    Returns
    -------
    (I, J, K, 1, 3) float32 image
        Vectors in mm along ITK's LPS axes, from corrected to recorded position; NIfTI intent
        1007 (vector).
    """
    vectors = world_displacement(field_hz, affine, pe_direction, readout_time) * _RAS_TO_LPS
    img = nib.Nifti1Image(vectors[:, :, :, None, :].astype(np.float32), affine)
    img.header.set_intent(_NIFTI_INTENT_VECTOR)
    img.header.set_xyzt_units("mm")
    return img


def _sample(volume: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Cubic interpolation at (3, ...) voxel positions, zero outside the outer voxels' edges."""
    sampled = ndimage.map_coordinates(volume, where, order=3, mode="nearest", output=np.float32)
    inside = np.ones(where.shape[1:], bool)
    for position, n in zip(where, volume.shape, strict=True):
        inside &= (position >= -0.5) & (position <= n - 0.5)
    return np.where(inside, sampled.clip(volume.min(), volume.max()), np.float32(0))
