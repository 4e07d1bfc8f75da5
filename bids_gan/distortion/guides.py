"""Images that the distorted ones are compared with, and the preparation of the b=0 image."""

from __future__ import annotations

import numpy as np

from bids_gan.geometry import voxel_sizes
from bids_gan.itk import to_ants

CSF, GREY, WHITE = 1, 2, 3
"""Labels of the tissue map."""

# b=0 signal of spin-echo EPI at 3 T relative to CSF.
_T2_SIGNAL = {CSF: 1.0, GREY: 0.45, WHITE: 0.35}
_N4_MM = 6.0


def t2_like(t1w: np.ndarray, mask: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Image with the contrast of a b=0 EPI and the geometry of the T1w.

    Parameters
    ----------
    t1w : (I, J, K) array
        Bias-corrected T1w.
    mask, tissue : (I, J, K) array
        Brain mask; labels 1 CSF, 2 grey, 3 white matter.

    Returns
    -------
    (I, J, K) float32 array
        Zero outside the mask.

    Notes
    -----
    The T1w intensity is mapped by straight lines through the median of each tissue, so partial
    volume and texture survive, unlike in an image painted from labels.
    """
    mask = np.asarray(mask) > 0
    medians = {label: np.median(t1w[mask & (tissue == label)]) for label in _T2_SIGNAL}
    order = sorted(_T2_SIGNAL, key=medians.get)
    mapped = np.interp(t1w, [medians[k] for k in order], [_T2_SIGNAL[k] for k in order])
    return np.where(mask, mapped, 0).astype(np.float32)


def correct_bias(image: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Remove the receive-coil shading of an image by N4 inside a mask.

    Parameters
    ----------
    image, mask : (I, J, K) array
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (I, J, K) float32 array, zero outside the mask

    References
    ----------
    Tustison NJ et al. N4ITK: improved N3 bias correction. IEEE TMI 29:1310 (2010).
    """
    import ants

    mask = np.asarray(mask) > 0
    inside = np.where(mask, np.asarray(image, np.float32).clip(min=0), 0)
    corrected = ants.n4_bias_field_correction(
        to_ants(inside, affine),
        mask=to_ants(mask, affine),
        shrink_factor=max(1, round(_N4_MM / float(voxel_sizes(affine).mean()))),
        convergence={"iters": [30, 30, 20], "tol": 1e-6},
    )
    return np.where(mask, corrected.numpy(), 0).astype(np.float32)
