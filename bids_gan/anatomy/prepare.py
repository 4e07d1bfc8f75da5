"""From a T1w as the scanner wrote it to a clean brain on a 1 mm grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.segment import (
    CEREBRAL_WHITE,
    CORTICAL_GREY,
    CSF,
    FEWEST_VOXELS,
    STRUCTURES,
    WHITE,
    brain_of,
    find_structures,
    largest_component,
    tissue_posteriors,
)
from bids_gan.anatomy.standard import even
from bids_gan.anatomy.template import affine_to_template
from bids_gan.errors import DataError
from bids_gan.geometry import box_affine, box_around, box_grid, resample, to_ras, voxel_sizes
from bids_gan.images import check_volume

if TYPE_CHECKING:
    from torch import nn

#: spacing of the grid on which the networks work, mm
SPACING = 1.0
#: of the head's box: a brain, and more, lies in the upper 200 mm
UPPER_PART = (..., slice(-200, None))
#: around the brain, that the second look at it takes in; voxels
MARGIN = 24
#: volume of what is not zero in an image without skull, ml
STRIPPED_ML = (700, 2200)


@dataclass(frozen=True)
class Anatomy:
    """A person's anatomy on a RAS+ 1 mm grid around the head.

    Attributes
    ----------
    t1w : (I, J, K) float32 array
        Without bias field; white matter has mean 1.
    mask : (I, J, K) bool array
        Brain.
    tissue : (I, J, K) uint8 array
        0 outside, 1 CSF, 2 grey matter, 3 white matter.
    structures : (I, J, K) uint8 array
        Index in :data:`bids_gan.anatomy.segment.STRUCTURES`.
    white : (I, J, K) float32 array
        Probability of white matter, brainstem and cerebellum included.
    affine : (4, 4) array
        Voxel to world (mm).
    to_mni : (4, 4) array
        World to MNI152 world (mm), affine.
    """

    t1w: np.ndarray
    mask: np.ndarray
    tissue: np.ndarray
    structures: np.ndarray
    white: np.ndarray
    affine: np.ndarray
    to_mni: np.ndarray


def prepare_t1w(
    img: nib.Nifti1Image,
    network: nn.Module,
    *,
    mask: nib.Nifti1Image | None = None,
    name: str = "the T1w",
    precision: str = "auto",
) -> Anatomy:
    """Bias field, brain mask, tissues and the affine to the template.

    Parameters
    ----------
    img : image
        T1w in any orientation and of any voxel size, whole head or skull-stripped.
    network : module
        The anatomy network; see :mod:`bids_gan.anatomy.segment`.
    mask : image, optional
        A brain mask to use instead of the network's. An image without skull needs neither: its
        mask is what is not zero.
    name : str
        Of the image, for error messages.
    precision : {'auto', 'bf16', 'fp32'}

    Returns
    -------
    Anatomy

    Raises
    ------
    DataError
        When the image is unusable or no brain is found in it.
    """
    img = check_volume(img, name)
    mask = mask or stripped_mask(img)
    head, affine = working_grid(img)
    structures = find_structures(network, head / _rough_white(head), precision, UPPER_PART)
    if mask is None:
        brain = _checked(brain_of(structures), name)
    else:
        given = np.asarray(mask.dataobj, np.float32)
        brain = _checked(resample(given, mask.affine, head.shape, affine) > 0.5, name)
    head = even(head, brain, affine)
    # once more, now that the image is even and its scale is known
    level = _white_level(head, structures, name)
    structures = find_structures(network, head / level, precision, box_around(brain, MARGIN))
    if mask is None:
        brain = _checked(brain_of(structures), name)
    # what the mask adds is fluid
    structures = np.where(brain, np.maximum(structures, CSF), 0).astype(np.uint8)
    head = head / _white_level(head, structures, name)
    posteriors = tissue_posteriors(head, brain, structures)
    return Anatomy(
        t1w=head.astype(np.float32),
        mask=brain,
        tissue=np.where(brain, posteriors.argmax(0) + 1, 0).astype(np.uint8),
        structures=structures,
        white=posteriors[WHITE - 1],
        affine=affine,
        to_mni=affine_to_template(head, brain, affine),
    )


def stripped_mask(img: nib.Nifti1Image) -> nib.Nifti1Image | None:
    """What is not zero, if that has the size of a brain: the image was skull-stripped before.

    A head has more than 3000 ml, so a zero background alone does not look like a brain.
    """
    data = np.asarray(img.dataobj)
    # resampling of an earlier tool may have left ripples around the brain
    bright = data > 0.01 * np.percentile(data[data > 0], 99)
    inside = ndimage.binary_fill_holes(largest_component(bright))
    millilitres = inside.sum() * np.prod(voxel_sizes(img.affine)) / 1000
    if not STRIPPED_ML[0] < millilitres < STRIPPED_ML[1]:
        return None
    return nib.Nifti1Image(inside.astype(np.uint8), img.affine)


def _white_level(head: np.ndarray, structures: np.ndarray, name: str) -> float:
    """Intensity of cerebral white matter."""
    found = {k: structures == k for k in (CSF, CORTICAL_GREY, CEREBRAL_WHITE)}
    missing = [STRUCTURES[k] for k, where in found.items() if where.sum() < FEWEST_VOXELS]
    if missing:
        raise DataError(f"{name}: no {' and no '.join(missing)} is found in it; is it a T1w?")
    return float(np.median(head[found[CEREBRAL_WHITE]]))


def working_grid(img: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Put the image on a RAS+ 1 mm grid, without interpolation when it is on one already."""
    ras = to_ras(img)
    data = np.asarray(ras.dataobj, np.float32)
    foreground = data > 0.08 * np.percentile(data[data > data.min()], 99)
    if np.allclose(ras.affine[:3, :3], np.eye(3) * SPACING, atol=0.01):
        box = box_around(foreground, 2)
        return data[box], box_affine(ras.affine, box)
    shape, grid = box_grid(foreground, ras.affine, SPACING, 2.0)
    cubic = resample(data, ras.affine, shape, grid, order=3)
    return np.maximum(cubic, 0), grid


def _rough_white(head: np.ndarray) -> float:
    """Intensity near that of white matter, before anything is known of the image."""
    foreground = head[head > 0.1 * np.percentile(head, 99.5)]
    return float(np.percentile(foreground, 75))


def _checked(brain: np.ndarray, name: str) -> np.ndarray:
    millilitres = brain.sum() * SPACING**3 / 1000
    if not 300 < millilitres < 2500:
        raise DataError(
            f"{name}: the brain found in it has {millilitres:.0f} ml, 300 to 2500 are possible; "
            "look at the image, or give a mask with --derivatives"
        )
    return brain
