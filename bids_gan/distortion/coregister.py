"""Rigid alignment of the diffusion reference with the T1w.

Distortion itself biases this alignment by degrees, so what the headers say is believed unless the
images contradict it clearly: same-session scans share the scanner's coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.multimodal import mutual_information_rigid
from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.geometry import box_grid, resample

# Share of the smaller brain mask inside the other at which the headers are worth starting from.
_PLAUSIBLE_OVERLAP = 0.6
# From a plausible header a larger move than this is a failed registration, not a moved head.
_MAX_DEGREES = 12.0
_MAX_MM = 25.0
# So is one that takes this share of the smaller mask out of the other.
_LOST_OVERLAP = 0.05
_SPACING_MM = 2.0
_LEVELS = {"shrink": (6, 4, 2), "smoothing": (3, 2, 1), "iterations": (1000, 500, 500)}


@dataclass(frozen=True)
class Coregistration:
    """Rigid alignment of diffusion and T1w space.

    Attributes
    ----------
    dwi_to_t1w : (4, 4) array
        Pull matrix from diffusion world to T1w world.
    start : {'header', 'centre of mass'}
        Where the registration started.
    source : {'registration', 'header'}
        'header' where the registration was not believable and the headers were kept.
    moved_mm, moved_degrees : float
        Move of the brain's centre, and rotation, relative to the headers.
    header_overlap, overlap : float
        Share of the smaller brain mask inside the other before and after.
    centre : (3,) array
        Centre of the T1w brain mask in T1w world.
    """

    dwi_to_t1w: np.ndarray
    start: str
    source: str
    moved_mm: float
    moved_degrees: float
    header_overlap: float
    overlap: float
    centre: np.ndarray

    def nearer(self, dwi: Brain, t1w: Brain, dwi_to_t1w: np.ndarray) -> Coregistration:
        """The same with a better pull matrix."""
        degrees, mm = moved(dwi_to_t1w, dwi.centre)
        return replace(
            self,
            dwi_to_t1w=dwi_to_t1w,
            moved_mm=mm,
            moved_degrees=degrees,
            overlap=mask_overlap(dwi, t1w, dwi_to_t1w),
        )

    def without_shift(self, direction: np.ndarray) -> Coregistration:
        """The same without the translation along a direction, relative to the headers.

        Parameters
        ----------
        direction : (3,) array
            Unit vector: that of the phase encoding, along which a constant displacement looks like
            a move.
        """
        shift = nib.affines.apply_affine(self.dwi_to_t1w, self.centre) - self.centre
        matrix = self.dwi_to_t1w.copy()
        matrix[:3, 3] -= (shift @ direction) * direction
        return replace(self, dwi_to_t1w=matrix)

    def by_headers(self) -> Coregistration:
        """What the headers say, in the place of what the registration found."""
        return replace(
            self,
            dwi_to_t1w=np.eye(4),
            source="header",
            moved_mm=0.0,
            moved_degrees=0.0,
            overlap=self.header_overlap,
        )


@dataclass(frozen=True)
class Brain:
    """Image, brain mask and affine (voxel to world, mm) of one space."""

    image: np.ndarray
    mask: np.ndarray
    affine: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """Centre of mass of the mask in world mm."""
        return nib.affines.apply_affine(self.affine, np.argwhere(self.mask > 0).mean(axis=0))

    def coarse(self, spacing: float) -> Brain:
        """Brain-only image on an isotropic grid around the mask."""
        inside = np.asarray(self.mask) > 0
        shape, affine = box_grid(inside, self.affine, spacing, 4 * spacing)
        image = resample(np.where(inside, self.image, 0), self.affine, shape, affine)
        mask = resample(inside.astype(np.float32), self.affine, shape, affine) > 0.5
        return Brain(image.clip(min=0), mask, affine)


def coregister(dwi: Brain, t1w: Brain) -> Coregistration:
    """Align the b=0 reference with the T1w by mutual information.

    Parameters
    ----------
    dwi : Brain
        b=0 reference without receive-coil shading, and its (distorted) brain mask.
    t1w : Brain
        Bias-corrected T1w and its brain mask, at any resolution.

    Returns
    -------
    Coregistration

    Notes
    -----
    Compared inside the eroded mask: the edge of the brain would pull the images towards a common
    outline, which distortion, signal loss and the end of the field of view all move.
    """
    t1w = t1w.coarse(_SPACING_MM)
    header_overlap = mask_overlap(dwi, t1w, np.eye(4))
    plausible = header_overlap >= _PLAUSIBLE_OVERLAP
    start = np.eye(4) if plausible else _centres(dwi, t1w)
    matrix = mutual_information_rigid(
        np.where(dwi.mask, dwi.image, 0),
        dwi.affine,
        t1w.image,
        t1w.affine,
        fixed_mask=ndimage.binary_erosion(dwi.mask),
        start=start,
        **_LEVELS,
    )
    degrees, mm = moved(matrix, dwi.centre)
    overlap = mask_overlap(dwi, t1w, matrix)
    lost = overlap < header_overlap - _LOST_OVERLAP
    found = Coregistration(
        dwi_to_t1w=matrix,
        start="header" if plausible else "centre of mass",
        source="registration",
        moved_mm=mm,
        moved_degrees=degrees,
        header_overlap=header_overlap,
        overlap=overlap,
        centre=t1w.centre,
    )
    failed = degrees > _MAX_DEGREES or mm > _MAX_MM or lost
    return found.by_headers() if plausible and failed else found


def moved(matrix: np.ndarray, centre: np.ndarray) -> tuple[float, float]:
    """Rotation in degrees and displacement of `centre` in mm of a rigid matrix."""
    parameters = rigid_parameters(matrix, centre)
    return (
        float(np.rad2deg(np.linalg.norm(parameters[:3]))),
        float(np.linalg.norm(parameters[3:])),
    )


def mask_overlap(dwi: Brain, t1w: Brain, dwi_to_t1w: np.ndarray) -> float:
    """Share of the smaller brain mask inside the other, under a pull matrix."""
    there = resample(
        (t1w.mask > 0).astype(np.float32),
        t1w.affine,
        dwi.mask.shape,
        dwi.affine,
        target_to_source=dwi_to_t1w,
    )
    inside = np.asarray(dwi.mask) > 0
    voxel = abs(np.linalg.det(dwi.affine[:3, :3]))
    smaller = min(
        inside.sum() * voxel,
        np.count_nonzero(t1w.mask) * abs(np.linalg.det(t1w.affine[:3, :3])),
    )
    return float((inside & (there > 0.5)).sum() * voxel / max(smaller, 1e-6))


def _centres(dwi: Brain, t1w: Brain) -> np.ndarray:
    """Translation that brings the two centres of mass together."""
    return rigid_matrix(np.r_[0, 0, 0, t1w.centre - dwi.centre], dwi.centre)
