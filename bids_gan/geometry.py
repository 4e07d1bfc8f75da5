"""Affines, resampling and phase-encoding axes: the one place where world and voxels meet.

Conventions used throughout the package
---------------------------------------
* World coordinates are RAS+ millimetres, as NIfTI affines give them.
* A *pull* matrix ``target_to_source`` takes world points of the grid that is being filled to
  world points of the image that is being read (the direction in which ITK transforms map points).
* Images are never re-gridded merely to change their axis order: their affine says it all.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

PE_DIRECTIONS = ("i", "i-", "j", "j-", "k", "k-")


def pe_axis_sign(direction: str) -> tuple[int, int]:
    """Split a BIDS phase-encoding direction into array axis and polarity.

    Parameters
    ----------
    direction : {'i', 'i-', 'j', 'j-', 'k', 'k-'}

    Returns
    -------
    axis : int
        Array axis of the image, 0 to 2.
    sign : int
        +1 for ``i``, ``j``, ``k``; -1 for ``i-``, ``j-``, ``k-``.

    Raises
    ------
    ValueError
        If `direction` is not one of the six BIDS values.
    """
    if direction not in PE_DIRECTIONS:
        raise ValueError(
            f"PhaseEncodingDirection {direction!r} is not one of {', '.join(PE_DIRECTIONS)}"
        )
    return "ijk".index(direction[0]), -1 if direction.endswith("-") else 1


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Voxel edge lengths in mm: the column norms, right for oblique affines too."""
    return np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(axis=0))


def to_ras(img: nib.Nifti1Image) -> nib.Nifti1Image:
    """Reorder and flip axes so that they run closest to right, anterior, superior."""
    return nib.as_closest_canonical(img)


def resample(
    data: np.ndarray,
    affine: np.ndarray,
    target_shape: tuple[int, int, int],
    target_affine: np.ndarray,
    *,
    target_to_source: np.ndarray | None = None,
    order: int = 1,
    antialias: bool = True,
    mode: str = "constant",
) -> np.ndarray:
    """Resample a 3D array onto another grid through its affine and an optional world transform.

    Parameters
    ----------
    data : (I, J, K) array
        Source image.
    affine, target_affine : (4, 4) array
        Voxel to world (mm, RAS+) of source and target grid.
    target_shape : tuple of int
    target_to_source : (4, 4) array, optional
        World-to-world pull matrix; identity when omitted.
    order : int
        Spline order; use 0 for labels.
    antialias : bool
        Blur the source first where the target voxels are larger, so that thin structures are
        averaged rather than missed. Never applied to labels (`order` 0).
    mode : {'constant', 'nearest'}
        Outside the source image: zero, or what lies at its border.

    Returns
    -------
    (I', J', K') float32 array (the dtype of `data` when `order` is 0)
    """
    world = np.eye(4) if target_to_source is None else np.asarray(target_to_source, float)
    voxel = np.linalg.inv(affine) @ world @ target_affine
    data = np.asarray(data)
    if order == 0:
        return ndimage.affine_transform(data, voxel, output_shape=target_shape, order=0, mode=mode)
    data = data.astype(np.float32, copy=False)
    if antialias:
        # extent of one target voxel measured along each source axis, in source voxels
        step = np.sqrt((voxel[:3, :3] ** 2).sum(axis=1))
        sigma = np.sqrt(np.maximum(step**2 - 1.0, 0.0)) / np.sqrt(8 * np.log(2))
        if np.any(sigma > 0.1):
            data = ndimage.gaussian_filter(data, sigma, mode="nearest")
    return ndimage.affine_transform(
        data, voxel, output_shape=target_shape, order=order, mode=mode, output=np.float32
    )


def mask_bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last index (inclusive) of a mask along each of its three axes.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    inside = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(inside[0]):
        raise ValueError("the mask is empty")
    return np.array([i[0] for i in inside]), np.array([i[-1] for i in inside])


def box_around(mask: np.ndarray, margin: int) -> tuple[slice, slice, slice]:
    """Smallest box around a mask, and a margin in voxels as far as the array reaches.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    first, last = mask_bounds(mask)
    return tuple(
        slice(max(a - margin, 0), b + margin + 1) for a, b in zip(first, last, strict=True)
    )


def box_affine(affine: np.ndarray, box: tuple[slice, slice, slice]) -> np.ndarray:
    """Voxel to world (4, 4) of a box cut from an array with `affine`."""
    start = np.eye(4)
    start[:3, 3] = [axis.start or 0 for axis in box]
    return affine @ start


def box_grid(
    mask: np.ndarray, affine: np.ndarray, spacing: float, margin: float, multiple: int = 1
) -> tuple[tuple[int, int, int], np.ndarray]:
    """Axis-aligned RAS+ grid of isotropic voxels around a mask.

    Parameters
    ----------
    mask : (I, J, K) bool array
    affine : (4, 4) array
    spacing, margin : float
        Voxel size and border in mm.
    multiple : int
        Round the shape up to a multiple of this.

    Returns
    -------
    shape : tuple of int
    affine : (4, 4) array
    """
    low, high = mask_bounds(mask)
    box = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    world = nib.affines.apply_affine(affine, box)
    start, stop = world.min(0) - margin, world.max(0) + margin
    shape = np.ceil((stop - start) / spacing).astype(int) + 1
    shape = -(-shape // multiple) * multiple
    grid = np.diag([spacing, spacing, spacing, 1.0])
    grid[:3, 3] = start - ((shape - 1) * spacing - (stop - start)) / 2
    return tuple(int(n) for n in shape), grid
