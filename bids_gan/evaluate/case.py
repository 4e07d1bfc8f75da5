"""One person made ready for comparison: anatomy, truth, and the way from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.prepare import Anatomy, prepare_t1w
from bids_gan.errors import DataError
from bids_gan.evaluate.people import Subject
from bids_gan.geometry import resample, voxel_sizes
from bids_gan.images import load_volume
from bids_gan.pairs.measured import in_units, register_to_t1w

#: slices this many times thicker than the voxel is wide are averaged over their thickness
THICK = 2.0
#: blocks of MNI space: y below which the back and above which the front begins, z of the upper
BACK_Y, FRONT_Y, UPPER_Z = -45.0, 5.0, 5.0
TISSUES = {1: "csf", 2: "grey", 3: "white"}
BLOCKS = {
    1: "back_lower",
    2: "middle_lower",
    3: "front_lower",
    4: "back_upper",
    5: "middle_upper",
    6: "front_upper",
}


@dataclass(frozen=True)
class Case:
    """A person's truth on its own grid, and what is known of each of its voxels.

    Attributes
    ----------
    name : str
    anatomy : Anatomy
    truth : (I, J, K) float32 array
        In the units of the generator.
    affine : (4, 4) array
        Voxel to world (mm) of the truth.
    to_t1w : (4, 4) array
        World of the truth to world of the T1w.
    mask : (I, J, K) bool array
        Where to score.
    tissue : (I, J, K) array
        See :data:`TISSUES`.
    regions : (I, J, K) array
    region_names : dict
    whole_head : bool
        Whether the contrast is of interest outside the brain too (CT).
    border_mm : float
        Width of the mask's border that was taken away.
    """

    name: str
    anatomy: Anatomy
    truth: np.ndarray
    affine: np.ndarray
    to_t1w: np.ndarray
    mask: np.ndarray
    tissue: np.ndarray
    regions: np.ndarray
    region_names: dict[int, str]
    whole_head: bool = False
    border_mm: float = 0.0

    def on_grid(self, image: np.ndarray, affine: np.ndarray) -> np.ndarray:
        """Bring an image from the space of the T1w onto the grid of the truth, once.

        Where the slices of the truth are thick the image is averaged over their thickness, as
        the scanner did.
        """
        return average_onto(image, affine, self.truth.shape, self.affine, self.to_t1w)


def average_onto(
    image: np.ndarray,
    affine: np.ndarray,
    shape: tuple[int, int, int],
    grid: np.ndarray,
    pull: np.ndarray,
) -> np.ndarray:
    """Resample onto a grid, with thick slices as the mean over their thickness.

    Parameters
    ----------
    image : (I, J, K) array
    affine, grid : (4, 4) array
        Voxel to world (mm) of the image and of the grid.
    shape : tuple of int
        Of the grid.
    pull : (4, 4) array
        World of the grid to world of the image.

    Returns
    -------
    array of `shape`
    """
    zooms = voxel_sizes(grid)
    axis = int(np.argmax(zooms))
    parts = 1
    if zooms[axis] >= THICK * zooms.min():
        parts = round(zooms[axis] / zooms.min())
    # sub-slices whose centres divide the slice evenly
    fine_shape, fine = list(shape), grid.copy()
    fine_shape[axis] *= parts
    fine[:3, axis] /= parts
    fine[:3, 3] -= grid[:3, axis] * (parts - 1) / (2 * parts)
    values = resample(image, affine, tuple(fine_shape), fine, target_to_source=pull)
    split = [*shape[:axis], shape[axis], parts, *shape[axis + 1 :]]
    return values.reshape(split).mean(axis=axis + 1)


def prepare_case(
    subject: Subject, target: str, register: bool, network, border_mm: float = 0.0
) -> Case:
    """Read a person's images and work out where each voxel of the truth lies.

    Parameters
    ----------
    subject : Subject
    target : str
        Contrast, which decides the unit, see :func:`bids_gan.pairs.measured.in_units`.
    register : bool
        Find the rigid transform between truth and T1w instead of trusting the headers.
    network : module
        The anatomy network.
    border_mm : float
        Width of the mask's border that is not scored.

    Raises
    ------
    DataError
    """
    measured = load_volume(subject.truth)
    data = np.asarray(measured.dataobj, np.float32)
    anatomy = prepare_t1w(load_volume(subject.t1w), network, name=str(subject.t1w))
    onto = (measured.shape, measured.affine)
    t1w_to_truth = register_to_t1w(data, measured.affine, anatomy) if register else np.eye(4)
    to_t1w = np.linalg.inv(t1w_to_truth)
    data = in_units(target, data, measured.affine, anatomy, t1w_to_truth, str(subject.truth))
    regions, names = _blocks(measured, anatomy.to_mni @ to_t1w), BLOCKS
    if subject.regions is not None:
        regions = np.rint(labels_on(measured, subject.regions)).astype(int)
        names = {int(n): str(n) for n in np.unique(regions) if n > 0}
    if subject.mask is not None:
        mask = labels_on(measured, subject.mask) > 0.5
    else:
        brain = anatomy.mask.astype(np.float32)
        mask = average_onto(brain, anatomy.affine, *onto, to_t1w) > 0.5
    if border_mm:
        mask = without_border(mask, voxel_sizes(measured.affine), border_mm)
    if mask.sum() < 1000:
        where = subject.mask or subject.truth
        raise DataError(
            f"{where}: only {mask.sum()} voxels to score; does the truth lie where the T1w does? "
            "--register aligns them"
        )
    tissue = resample(anatomy.tissue, anatomy.affine, *onto, target_to_source=to_t1w, order=0)
    return Case(
        subject.name,
        anatomy,
        data,
        measured.affine,
        to_t1w,
        mask,
        tissue,
        regions,
        dict(names),
        whole_head=target == "CT",
        border_mm=border_mm,
    )


def without_border(mask: np.ndarray, spacing: np.ndarray, width: float) -> np.ndarray:
    """Voxels of a mask whose distance to the nearest voxel outside is more than `width` mm."""
    return ndimage.distance_transform_edt(mask, sampling=spacing) > width


def labels_on(truth: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Mask or regions in the world space of `truth`, on its grid (nearest neighbour)."""
    img = load_volume(path)
    data = np.asarray(img.dataobj, np.float32)
    return resample(data, img.affine, truth.shape, truth.affine, order=0)


def _blocks(img: nib.Nifti1Image, to_mni: np.ndarray) -> np.ndarray:
    """Back, middle and front of the lower and the upper brain, see :data:`BLOCKS`."""
    voxels = np.moveaxis(np.indices(img.shape), 0, -1)
    _, y, z = np.moveaxis(nib.affines.apply_affine(to_mni @ img.affine, voxels), -1, 0)
    return 1 + (y > BACK_Y).astype(int) + (y > FRONT_Y) + 3 * (z > UPPER_Z)
