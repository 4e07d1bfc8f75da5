"""A T1w-like image of a scan of another contrast, by which its anatomy can be found."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull

from bids_gan.anatomy.prepare import UPPER_PART, Anatomy, prepare_t1w, working_grid
from bids_gan.anatomy.segment import CEREBRAL_WHITE, find_structures
from bids_gan.errors import DataError
from bids_gan.images import check_volume

if TYPE_CHECKING:
    from torch import nn

#: contrast -> how much brighter than white matter grey matter is; means of 30 draws of
#: ``bids_gan.simulate.physics.label_contrast``
GREY_ABOVE_WHITE = {"T2w": 0.67, "PDw": 0.22, "FLAIR": 0.43}
#: how much darker it is in a T1w
GREY_BELOW_WHITE = 0.32
#: least share of its convex hull that a brain with the fluid over it fills
LEAST_FILLED = 0.7
#: what is folded lowest is still not the background
DARKEST = 0.1


def prepare_anatomy(
    img: nib.Nifti1Image, contrast: str, network: nn.Module, *, name: str, precision: str = "auto"
) -> Anatomy:
    """Anatomy from an image of any contrast.

    Parameters
    ----------
    img : image
        In any orientation and of any voxel size, whole head or skull-stripped.
    contrast : {'T1w', 'T2w', 'PDw', 'FLAIR'}
    network : module
        The anatomy network, which knows T1w images.
    name : str
        Of the image, for error messages.
    precision : {'auto', 'bf16', 'fp32'}

    Returns
    -------
    Anatomy
        Its ``t1w`` is the T1w-like image when `contrast` is another one.

    Raises
    ------
    DataError
        As of `prepare_t1w`, and when what is found in another contrast has not the shape of a
        brain.
    """
    if contrast == "T1w":
        return prepare_t1w(img, network, name=name, precision=precision)
    img = _t1w_like(check_volume(img, name), contrast, network, precision)
    anatomy = prepare_t1w(img, network, name=name, precision=precision)
    if (share := filled(anatomy.mask)) < LEAST_FILLED:
        raise DataError(
            f"{name}: the brain found in this {contrast} is torn, it fills {share:.0%} of its "
            f"convex hull and a brain at least {LEAST_FILLED:.0%}; a T1w of this person, or a "
            "skull-stripped image, would help"
        )
    return anatomy


def filled(mask: np.ndarray) -> float:
    """Share of its convex hull that an (I, J, K) bool mask fills."""
    surface = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    # corners of the voxels, not their middles
    corners = (surface[:, None] + np.array(list(product((-0.5, 0.5), repeat=3)))).reshape(-1, 3)
    return float(mask.sum() / ConvexHull(np.unique(corners, axis=0)).volume)


def _t1w_like(
    img: nib.Nifti1Image, contrast: str, network: nn.Module, precision: str
) -> nib.Nifti1Image:
    """Fold at the level of white matter: at first the median of the head, then what is found."""
    head, _ = working_grid(img)
    white = np.median(head[head > 0.1 * np.percentile(head, 99.5)])
    structures = find_structures(network, fold(head / white, contrast), precision, UPPER_PART)
    found = structures == CEREBRAL_WHITE
    if found.any():
        white = np.median(head[found])
    return nib.Nifti1Image(fold(np.asarray(img.dataobj) / white, contrast), img.affine)


def fold(image: np.ndarray, contrast: str) -> np.ndarray:
    """Make white matter the brightest tissue, as it is in a T1w.

    Parameters
    ----------
    image : array
        White matter near 1.
    contrast : {'T2w', 'PDw', 'FLAIR'}

    Returns
    -------
    float32 array
        What is darker than white matter is left alone; what is brighter becomes darker, in
        proportion, so that grey matter is as dark as it is in a T1w.
    """
    slope = GREY_BELOW_WHITE / GREY_ABOVE_WHITE[contrast]
    folded = np.maximum(1 - slope * (image - 1), DARKEST)
    return np.where(image > 1, folded, image).astype(np.float32)
