"""Keep a displacement from folding: two places of an image never change their order."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: least Jacobian that is left
LEAST = 0.1
_REACH = 2
_BLUR = 1.0
_MOST_ROUNDS = 60


def unfolded(shift: np.ndarray, axis: int) -> np.ndarray:
    """Displacement, smoothed where it would fold and nowhere else.

    Parameters
    ----------
    shift : (I, J, K) array
        Displacement along an array axis, in voxels.
    axis : {0, 1, 2}

    Returns
    -------
    (I, J, K) array
        With a Jacobian (central differences) of at least :data:`LEAST`.

    Notes
    -----
    A head may fold its signal over, but one blip cannot unfold it: what is asked for is a field
    that can be applied. Gaussian smoothing of the surroundings is repeated until none is left, at
    most sixty times; the no-harm gate counts what is steep after that.
    """
    for _ in range(_MOST_ROUNDS):
        steep = 1 + np.gradient(shift, axis=axis) < LEAST
        if not steep.any():
            break
        near = ndimage.binary_dilation(steep, iterations=_REACH)
        shift = np.where(near, ndimage.gaussian_filter(shift, _BLUR), shift)
    return shift
