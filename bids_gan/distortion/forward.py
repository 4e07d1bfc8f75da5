"""What the scanner does: susceptibility moves and piles up signal along phase encoding."""

from __future__ import annotations

import numpy as np

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
    shares = _Shares(shift.reshape(len(shift), -1))
    flat = lines_first.reshape(*shares.shape, -1)
    moved = np.stack([shares.moved(image) for image in np.moveaxis(flat, -1, 0)], axis=-1)
    return np.ascontiguousarray(np.moveaxis(moved.reshape(lines_first.shape), 0, axis))


class _Shares:
    """Where the parts of each voxel of (n, lines) go under a voxel shift of that shape."""

    def __init__(self, shift: np.ndarray):
        self.shape = n, lines = shift.shape
        # short enough pieces that each one touches at most two recorded voxels
        steepest = np.abs(1 + np.diff(shift, axis=0)).max(initial=1.0)
        self.pieces = max(2, int(np.ceil(steepest)))
        position = np.linspace(-0.5, n - 0.5, n * self.pieces + 1)
        inside = np.clip(position, 0, n - 1)
        below = np.minimum(inside.astype(int), n - 2) if n > 1 else np.zeros(len(inside), int)
        part = (inside - below)[:, None]
        above = np.minimum(below + 1, n - 1)
        edge = position[:, None] + (1 - part) * shift[below] + part * shift[above]
        low, high = np.minimum(edge[:-1], edge[1:]), np.maximum(edge[:-1], edge[1:])
        first, width = np.floor(low + 0.5), high - low
        share = np.divide(first + 0.5 - low, width, out=np.ones_like(width), where=width > 1e-9)
        #: of each piece, what the first of its two voxels receives
        self.share = np.clip(share, 0.0, 1.0).astype(np.float32)
        # two rows before the first voxel and one behind the last take what leaves the image
        row = np.clip(first, -2, n).astype(np.int64) + 2
        self.places = row * lines + np.arange(lines)

    def moved(self, image: np.ndarray) -> np.ndarray:
        """Signal (n, lines) that is recorded of an image."""
        n, lines = self.shape
        signal = np.repeat(image / np.float32(self.pieces), self.pieces, axis=0)
        near = signal * self.share
        size = (n + 4) * lines
        total = np.bincount(self.places.ravel(), near.ravel(), size)
        total[lines:] += np.bincount(self.places.ravel(), (signal - near).ravel(), size)[:-lines]
        return total.reshape(n + 4, lines)[2 : n + 2].astype(np.float32)
