"""Pairs of a T1w and a measured image of the same person, aligned by a rigid transform."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.anatomy.segment import CEREBELLUM, WHITE
from bids_gan.errors import DataError
from bids_gan.geometry import box_grid, resample, to_ras, voxel_sizes
from bids_gan.images import check_volume
from bids_gan.itk import bias_field, read_affine, to_ants
from bids_gan.pairs.store import Pair
from bids_gan.synthesis.generate import appearance

#: border around the brain, mm
MARGIN = 4.0
#: divided by their bias field and level in white matter
MAGNETIC_RESONANCE = ("T1w", "T2w", "PDw", "FLAIR")
#: slices this much thicker than the pixels are supervised at their centres only
THICK = 2.0


def register_to_t1w(
    image: np.ndarray, image_affine: np.ndarray, anatomy: Anatomy, spacing: float = 1.5
) -> np.ndarray:
    """Rigid transform between a measured image and the T1w of the same person.

    Parameters
    ----------
    image : (I, J, K) array
    image_affine : (4, 4) array
    anatomy : Anatomy
    spacing : float
        Voxel size of the registration in mm.

    Returns
    -------
    (4, 4) array
        World of the T1w to world of the image, RAS+ mm.

    Notes
    -----
    Mattes mutual information of the brains, started from the headers.
    """
    import ants

    shape, grid = box_grid(anatomy.mask, anatomy.affine, spacing, 12.0)
    brain = np.where(anatomy.mask, anatomy.t1w, 0)
    near = ndimage.binary_dilation(anatomy.mask, iterations=6)
    with tempfile.TemporaryDirectory() as folder:
        result = ants.registration(
            to_ants(resample(brain, anatomy.affine, shape, grid), grid),
            to_ants(image, image_affine),
            type_of_transform="Rigid",
            initial_transform="Identity",
            mask=to_ants(resample(near, anatomy.affine, shape, grid) > 0.5, grid),
            outprefix=str(Path(folder) / "rigid_"),
            aff_metric="mattes",
            aff_random_sampling_rate=0.5,
            aff_iterations=(500, 250, 100),
            aff_shrink_factors=(4, 2, 1),
            aff_smoothing_sigmas=(2, 1, 0),
        )
        return read_affine(Path(result["fwdtransforms"][0]))


def slice_grid(
    anatomy: Anatomy,
    image: nib.Nifti1Image,
    image_to_t1w: np.ndarray,
    name: str = "the measured image",
) -> tuple[tuple[int, int, int], np.ndarray, int, np.ndarray]:
    """Grid on which training compares: 1 mm, along the slices of the measured image if thick.

    Parameters
    ----------
    anatomy : Anatomy
    image : image
        Measured, in RAS+ order, slices along the last axis.
    image_to_t1w : (4, 4) array
        World of the image to world of the T1w.
    name : str
        Of the image, for error messages.

    Returns
    -------
    shape, affine
        In the world of the T1w.
    thickness : int
        Voxels of the grid that one slice covers.
    centres : (K,) bool array
        Planes of the grid at the centre of a slice.

    Raises
    ------
    DataError
        When the slices are thick and not axial.
    """
    zooms = voxel_sizes(image.affine)
    if max(zooms[:2]) >= THICK * min(zooms):
        raise DataError(
            f"{name}: voxels of {zooms.round(2).tolist()} mm (right, anterior, superior); thick "
            "slices can be compared when they are axial: resample the image to voxels of one size"
        )
    if zooms[2] < THICK * min(zooms[:2]):
        shape, grid = box_grid(anatomy.mask, anatomy.affine, 1.0, MARGIN)
        return shape, grid, 1, np.ones(shape[2], bool)
    thickness = max(round(float(zooms[2])), 1)
    # the image's own axes, 1 mm in plane, one slice in `thickness` planes
    step = np.array([1.0, 1.0, zooms[2] / thickness])
    axes = (image_to_t1w @ image.affine)[:3, :3] / zooms * step
    origin = (image_to_t1w @ image.affine)[:3, 3]
    full = np.eye(4)
    full[:3, :3], full[:3, 3] = axes, origin
    voxels = np.linalg.inv(full) @ anatomy.affine
    inside = nib.affines.apply_affine(voxels, np.argwhere(anatomy.mask[::2, ::2, ::2]) * 2)
    low = np.floor(inside.min(0) - MARGIN).astype(int)
    high = np.ceil(inside.max(0) + MARGIN).astype(int)
    full[:3, 3] = nib.affines.apply_affine(full, low)
    planes = np.arange(low[2], high[2] + 1)
    held = (planes >= 0) & (planes <= (image.shape[2] - 1) * thickness)
    return (
        tuple(int(n) for n in high - low + 1),
        full,
        thickness,
        (planes % thickness == 0) & held,
    )


def measured_pair(anatomy: Anatomy, img: nib.Nifti1Image, name: str, target: str) -> Pair:
    """Align a measured image with the T1w and put both on one grid.

    Parameters
    ----------
    anatomy : Anatomy
    img : image
        The measured image, any orientation.
    name : str
        Of the image, for error messages.
    target : str
        Contrast, which decides the unit, see :func:`in_units`.

    Raises
    ------
    DataError
        When the image is unusable or shows nothing of the brain.
    """
    img = to_ras(check_volume(img, name))
    data = np.asarray(img.dataobj, np.float32)
    t1w_to_image = register_to_t1w(data, img.affine, anatomy)
    image_to_t1w = np.linalg.inv(t1w_to_image)
    data = in_units(target, data, img.affine, anatomy, t1w_to_image, name)
    shape, grid, thickness, centres = slice_grid(anatomy, img, image_to_t1w, name)
    onto = (shape, grid)
    values = resample(data, img.affine, *onto, target_to_source=t1w_to_image)
    seen = resample(np.ones_like(data), img.affine, *onto, target_to_source=t1w_to_image) > 0.99
    mask = resample(anatomy.mask.astype(np.float32), anatomy.affine, *onto) > 0.5
    t1w = np.maximum(resample(anatomy.t1w, anatomy.affine, *onto, order=3), 0)
    supervised = mask & seen & centres
    if supervised.sum() < 1000:
        raise DataError(f"{name}: shows {supervised.sum()} voxels of the brain of its T1w")
    return Pair(
        np.where(mask, t1w, 0).astype(np.float32),
        mask,
        np.where(mask, values, 0).astype(np.float32),
        supervised,
        grid,
        anatomy.to_mni,
        thickness,
        appearance(anatomy),
    )


def in_units(
    target: str,
    data: np.ndarray,
    affine: np.ndarray,
    anatomy: Anatomy,
    t1w_to_image: np.ndarray,
    name: str,
) -> np.ndarray:
    """Bring a measured image into the units of the generators.

    Parameters
    ----------
    target : str
        T1w, T2w, PDw and FLAIR are divided by their bias field and white-matter level, FDG by the
        mean of the cerebellum; FA and CT have units of their own.
    data : (I, J, K) array
    affine : (4, 4) array
    anatomy : Anatomy
    t1w_to_image : (4, 4) array
        World of the T1w to world of the image.
    name : str
        Of the image, for error messages.

    Returns
    -------
    (I, J, K) float32 array

    Raises
    ------
    DataError
        When the image does not show the tissue that gives its unit.
    """
    if target not in (*MAGNETIC_RESONANCE, "FDG"):
        return data

    def share(where: np.ndarray) -> np.ndarray:
        image_to_t1w = np.linalg.inv(t1w_to_image)
        values = np.asarray(where, np.float32)
        return resample(values, anatomy.affine, data.shape, affine, target_to_source=image_to_t1w)

    if target != "FDG":
        data = data / bias_field(data, share(anatomy.mask) > 0.5, affine)
        inside, tissue = share(anatomy.white * (anatomy.tissue == WHITE)) > 0.9, "white matter"
        level = np.median(data[inside]) if inside.any() else 0
    else:
        inside, tissue = share(np.isin(anatomy.structures, CEREBELLUM)) > 0.5, "cerebellum"
        level = data[inside].mean() if inside.any() else 0
    if inside.sum() < 100 or level <= 0:
        raise DataError(
            f"{name}: is divided by its level in the {tissue}, found {inside.sum()} voxels with "
            f"{level:.3g}; does it lie where its T1w does?"
        )
    return (data / level).astype(np.float32)
