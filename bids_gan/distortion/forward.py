"""What the scanner does: susceptibility moves and piles up signal along phase encoding."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from bids_gan.distortion.units import hz_to_voxels
from bids_gan.geometry import pe_axis_sign


def distort(
    data: np.ndarray, field_hz: np.ndarray, pe_direction: str, readout_time: float
) -> np.ndarray:
    """Displace an undistorted image along the phase-encoding axis, conserving signal.

    Parameters
    ----------
    data : (I, J, K) or (I, J, K, N) array
    field_hz : (I, J, K) array
        Field on the undistorted grid.
    pe_direction : {'i', 'i-', 'j', 'j-', 'k', 'k-'}
    readout_time : float
        BIDS ``TotalReadoutTime`` in seconds.

    Returns
    -------
    float32 array of the shape of `data`

    Notes
    -----
    Every voxel is a box of signal; its parts land on the interval between the displaced edges,
    and each recorded voxel receives the overlapping share. A zero field is the identity, folded
    regions add up (pile-up), and only signal pushed out of the field of view is lost.
    """
    axis, _ = pe_axis_sign(pe_direction)
    shift = np.moveaxis(hz_to_voxels(field_hz, pe_direction, readout_time), axis, 0)
    lines_first = np.moveaxis(np.asarray(data, np.float32), axis, 0)
    flat = lines_first.reshape(shift.size, -1)
    moved = _splat_matrix(shift.reshape(len(shift), -1)) @ flat
    return np.ascontiguousarray(np.moveaxis(moved.reshape(lines_first.shape), 0, axis))


def _splat_matrix(shift: np.ndarray) -> sparse.csr_array:
    """Sparse (n*lines, n*lines) matrix of the shares for an (n, lines) voxel shift."""
    n, lines = shift.shape
    # short enough pieces that each one touches at most two recorded voxels
    steepest = np.abs(1 + np.diff(shift, axis=0)).max(initial=1.0)
    pieces = max(2, int(np.ceil(steepest)))
    position = np.linspace(-0.5, n - 0.5, n * pieces + 1)
    inside = np.clip(position, 0, n - 1)
    below = np.minimum(inside.astype(int), n - 2) if n > 1 else np.zeros(len(inside), int)
    part = (inside - below)[:, None]
    edge = (
        position[:, None] + (1 - part) * shift[below] + part * shift[np.minimum(below + 1, n - 1)]
    )
    low, high = np.minimum(edge[:-1], edge[1:]), np.maximum(edge[:-1], edge[1:])

    first = np.floor(low + 0.5)
    width = high - low
    share = np.divide(first + 0.5 - low, width, out=np.ones_like(width), where=width > 1e-9)
    share = np.clip(share, 0.0, 1.0)
    source = np.repeat(np.arange(n), pieces)[:, None] * lines + np.arange(lines)

    rows, columns, values = [], [], []
    for target, weight in ((first, share), (first + 1, 1 - share)):
        keep = (target >= 0) & (target < n) & (weight > 0)
        rows.append((target.astype(np.int64) * lines + np.arange(lines))[keep])
        columns.append(source[keep])
        values.append((weight[keep] / pieces).astype(np.float32))
    return sparse.csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(n * lines, n * lines),
    )
