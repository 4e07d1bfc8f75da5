"""T1w images of any scanner on the scale of another: no bias field, tissues as bright as there.

Scanners differ first of all in how bright a tissue is. A curve that takes the histogram of one
image to that of others would mend that if everybody had the same share of each tissue. Of grey and
white matter most people have nearly the same; of fluid one has many times what another has. So
fluid goes to fluid, and the histogram of what is not fluid to that of theirs.
"""

from __future__ import annotations

import numpy as np

from bids_gan.anatomy.segment import CSF, FEWEST_VOXELS
from bids_gan.errors import DataError
from bids_gan.geometry import box_grid, resample
from bids_gan.itk import bias_field

#: of tissue that is not fluid; the darkest of its voxels are partly fluid
QUANTILES = np.linspace(0.3, 0.97, 12)


def even(image: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Divide an image by its bias field.

    Parameters
    ----------
    image : (I, J, K) array
    brain : (I, J, K) bool array
        Where N4 looks, at 2 mm since the field is smooth. The field has mean 1 there.
    affine : (4, 4) array
        Voxel to world (mm).

    Returns
    -------
    (I, J, K) array
    """
    shape, grid = box_grid(brain, affine, 2.0, 4.0)
    mask = resample(brain.astype(np.float32), affine, shape, grid) > 0.5
    field = bias_field(resample(image, affine, shape, grid), mask, grid)
    field = resample(field, grid, image.shape, affine, mode="nearest")
    return image / np.maximum(field / field[brain].mean(), 0.1)


def tones(image: np.ndarray, structures: np.ndarray) -> np.ndarray:
    """How bright the tissues of an image are.

    Parameters
    ----------
    image : (I, J, K) array
        T1w without bias field.
    structures : (I, J, K) array
        Index in :data:`bids_gan.anatomy.segment.STRUCTURES`.

    Returns
    -------
    (13,) array
        Median of fluid, and :data:`QUANTILES` of all other tissue; rising.

    Raises
    ------
    DataError
        When the image shows no fluid or no tissue.
    """
    fluid, tissue = image[structures == CSF], image[structures > CSF]
    if min(fluid.size, tissue.size) < FEWEST_VOXELS:
        raise DataError(
            f"the T1w shows {fluid.size} voxels of fluid and {tissue.size} of other tissue; "
            f"{FEWEST_VOXELS} of each are needed to tell how bright they are"
        )
    found = np.r_[np.median(fluid), np.quantile(tissue, QUANTILES)]
    return np.maximum.accumulate(found)


def match_tones(image: np.ndarray, have: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Bring an image to other tones.

    Parameters
    ----------
    image : (I, J, K) array
    have, wanted : (13,) array
        See :func:`tones`.

    Returns
    -------
    (I, J, K) float32 array
        Through a curve of straight lines; zero stays zero, and beyond the last tone the mean slope
        of the upper half goes on.
    """
    x, y = np.r_[0, have], np.r_[0, wanted]
    upper = len(x) // 2
    slope = (y[-1] - y[upper]) / max(x[-1] - x[upper], np.finfo(np.float32).eps)
    beyond = y[-1] + slope * (image - x[-1])
    return np.where(image > x[-1], beyond, np.interp(image, x, y)).astype(np.float32)
