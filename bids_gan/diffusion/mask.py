"""Brain mask of a distorted b=0 image, for fits and registration on the diffusion side."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bids_gan.geometry import voxel_sizes

_SMOOTHING_MM = 3.0
_OPENING_MM = 3.0


def b0_mask(b0: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Rough brain mask: threshold of the smoothed image, opened, largest part, holes filled.

    Parameters
    ----------
    b0 : (I, J, K) array
        b=0 reference image.
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (I, J, K) bool array
        It may hold some scalp and eye; the T1w brain mask decides where both are known.

    Notes
    -----
    Otsu's threshold separates head from air; bright CSF and eyes would raise it, so the signal is
    capped at its 95th percentile first.
    """
    from skimage.filters import threshold_otsu

    zooms = voxel_sizes(affine)
    smooth = ndimage.gaussian_filter(np.nan_to_num(b0), _SMOOTHING_MM / 2.355 / zooms)
    smooth = smooth.clip(0, np.percentile(smooth[smooth > 0], 95) if (smooth > 0).any() else None)
    head = smooth > 0.9 * threshold_otsu(smooth)
    steps = max(1, round(_OPENING_MM / float(zooms.mean())))
    opened = ndimage.binary_opening(head, iterations=steps)
    labels, count = ndimage.label(opened)
    if count == 0:
        return head
    largest = labels == 1 + np.argmax(ndimage.sum(opened, labels, range(1, count + 1)))
    filled = np.stack([ndimage.binary_fill_holes(s) for s in np.moveaxis(largest, 2, 0)], 2)
    return ndimage.binary_closing(filled, iterations=steps) | filled
