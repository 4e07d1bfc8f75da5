"""One place for units and signs of distortion: Hz, voxels along phase encoding, millimetres.

With *y* the voxel index along the phase-encoding axis and *f* the field in Hz,
``corrected(y) = I(y + v(y)) * (1 + dv/dy)`` where ``v = s * f * TRT``, *s* = +1 for ``i``, ``j``,
``k`` and -1 for ``i-``, ``j-``, ``k-``, and TRT is BIDS ``TotalReadoutTime`` in seconds.
Everything else in the package goes through the *voxel shift* v, so the sign is decided once.
"""

from __future__ import annotations

import numpy as np

from bids_gan.geometry import pe_axis_sign, voxel_sizes


def hz_to_voxels(field_hz: np.ndarray, pe_direction: str, readout_time: float) -> np.ndarray:
    """Signed voxel shift v (see module) of a field in Hz.

    Parameters
    ----------
    field_hz : array
    pe_direction : {'i', 'i-', 'j', 'j-', 'k', 'k-'}
    readout_time : float
        BIDS ``TotalReadoutTime`` in seconds.
    """
    return pe_axis_sign(pe_direction)[1] * readout_time * np.asarray(field_hz)


def voxels_to_hz(shift: np.ndarray, pe_direction: str, readout_time: float) -> np.ndarray:
    """Field in Hz of a signed voxel shift; inverse of `hz_to_voxels`."""
    return pe_axis_sign(pe_direction)[1] / readout_time * np.asarray(shift)


def mm_per_hz(affine: np.ndarray, pe_direction: str, readout_time: float) -> float:
    """Displacement in mm that 1 Hz causes, without sign."""
    return float(voxel_sizes(affine)[pe_axis_sign(pe_direction)[0]] * readout_time)


def world_displacement(
    field_hz: np.ndarray, affine: np.ndarray, pe_direction: str, readout_time: float
) -> np.ndarray:
    """Displacement in world axes from a corrected point to where its signal was recorded.

    Parameters
    ----------
    field_hz : (I, J, K) array
    affine : (4, 4) array
        Voxel to world (mm, RAS+).

    Returns
    -------
    (I, J, K, 3) array in mm
    """
    axis, _ = pe_axis_sign(pe_direction)
    shift = hz_to_voxels(field_hz, pe_direction, readout_time)
    return shift[..., None] * np.asarray(affine)[:3, axis]


def jacobian(shift: np.ndarray, axis: int) -> np.ndarray:
    """Local change of width ``1 + dv/dy`` of a voxel shift along array axis `axis`."""
    return 1.0 + np.gradient(shift, axis=axis)
