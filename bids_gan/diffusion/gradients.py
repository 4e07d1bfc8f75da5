"""Diffusion gradient tables: reading, checking, rotating and writing b-values and b-vectors.

Two frames matter. The FSL files hold directions along the *voxel* axes of the image, with the
first component negated where the affine has a positive determinant. Everything that mixes
directions with head motion happens in *world* (scanner) axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bids_gan.errors import DataError

B0_MAX = 50.0
"""Largest b-value (s/mm²) that counts as not diffusion-weighted."""

LOW_B_MAX = 500.0
"""Largest b-value (s/mm²) that may stand in for a missing b=0 volume."""

NORM_TOLERANCE = 0.1
"""Vectors whose length is this close to 1 are rescaled; others are refused."""

MIN_DIRECTIONS = 6
MIN_ANGLE_DEGREES = 2.0


@dataclass(frozen=True)
class Gradients:
    """A diffusion gradient table.

    Attributes
    ----------
    bvals : (N,) float array
        b-values in s/mm².
    bvecs : (N, 3) float array
        Unit directions as the FSL file has them (voxel axes, first component negated where the
        determinant of the affine is positive); zero where there is no direction.
    """

    bvals: np.ndarray
    bvecs: np.ndarray

    def __len__(self) -> int:
        return len(self.bvals)

    @property
    def is_b0(self) -> np.ndarray:
        """(N,) bool array: volumes without diffusion weighting, or the lowest-b ones instead."""
        b0 = self.bvals <= B0_MAX
        return b0 if b0.any() else self.bvals <= self.bvals.min() + B0_MAX


def load_gradients(bval_path: Path, bvec_path: Path, n_volumes: int) -> Gradients:
    """Read and check a pair of FSL gradient files.

    Parameters
    ----------
    bval_path, bvec_path : path
        Text files; b-vectors as three rows (FSL) or three columns.
    n_volumes : int
        Number of volumes of the image they belong to.

    Returns
    -------
    Gradients

    Raises
    ------
    DataError
        If the files do not describe `n_volumes` volumes from which a tensor can be fitted.
        The message names the file and the first volume concerned (counted from 0).
    """
    bvals = _read_numbers(bval_path).ravel()
    if len(bvals) != n_volumes:
        raise DataError(
            f"{bval_path}: {len(bvals)} b-values for an image of {n_volumes} volumes; "
            "one value per volume is needed"
        )
    if not np.all(np.isfinite(bvals) & (bvals >= 0)):
        bad = int(np.flatnonzero(~(np.isfinite(bvals) & (bvals >= 0)))[0])
        raise DataError(
            f"{bval_path}: the b-value of volume {bad} is {bvals[bad]}; "
            "finite values of zero or more, in s/mm², are accepted"
        )
    bvecs = _unit_vectors(_read_vectors(bvec_path, n_volumes), bvals, bvec_path)
    gradients = Gradients(bvals, bvecs)
    check_tensor(gradients, bval_path, bvec_path)
    return gradients


def check_tensor(gradients: Gradients, bval_path: Path, bvec_path: Path) -> None:
    """Refuse a table from which no diffusion tensor can be estimated.

    Raises
    ------
    DataError
        Without a low-b volume, or with fewer than six distinct directions.
    """
    low = gradients.bvals[gradients.is_b0]
    high = gradients.bvals[~gradients.is_b0]
    if low.min() > LOW_B_MAX:
        raise DataError(
            f"{bval_path}: the lowest b-value is {low.min():g} s/mm²; a tensor needs at least one "
            f"volume with b ≤ {B0_MAX:g} (or, failing that, b ≤ {LOW_B_MAX:g})"
        )
    n_directions = _count_distinct(gradients.bvecs[~gradients.is_b0]) if len(high) else 0
    if n_directions < MIN_DIRECTIONS:
        raise DataError(
            f"{bvec_path}: {n_directions} distinct diffusion directions; "
            f"a tensor needs at least {MIN_DIRECTIONS}"
        )


def world_directions(gradients: Gradients, affine: np.ndarray) -> np.ndarray:
    """Directions in world axes.

    Parameters
    ----------
    gradients : Gradients
    affine : (4, 4) array
        Voxel to world (RAS+) of the image the gradients belong to.

    Returns
    -------
    (N, 3) float array
        Unit vectors along world x, y, z (zero rows stay zero).

    References
    ----------
    FSL convention: https://fsl.fmrib.ox.ac.uk (FDT, "b-vectors"), BIDS 1.10 "dwi".
    """
    return gradients.bvecs @ _fsl_to_world(affine).T


def from_world(bvals: np.ndarray, directions: np.ndarray, affine: np.ndarray) -> Gradients:
    """Gradient table in the FSL convention from (N, 3) world directions and (N,) b-values."""
    return Gradients(np.asarray(bvals, float), np.asarray(directions) @ _fsl_to_world(affine))


def rotate(gradients: Gradients, affine: np.ndarray, matrices: np.ndarray) -> Gradients:
    """Express directions in the head's reference pose.

    Parameters
    ----------
    gradients : Gradients
    affine : (4, 4) array
        Voxel to world (RAS+).
    matrices : (N, 4, 4) or (N, 3, 3) array
        Rigid pull matrices from reference world to the world of each volume. Coregistration to
        another image must not be included: it changes the axes, not the head's pose.

    Returns
    -------
    Gradients

    References
    ----------
    Leemans A, Jones DK. The B-matrix must be rotated when correcting for subject motion in DTI
    data. Magn Reson Med 61:1336 (2009).
    """
    world = world_directions(gradients, affine)
    # a head turned by R sees the fixed scanner gradient g as inv(R) g
    turned = np.einsum("nji,nj->ni", np.asarray(matrices)[:, :3, :3], world)
    return replace(gradients, bvecs=turned @ _fsl_to_world(affine))


def format_bvals(gradients: Gradients) -> str:
    """Text of a ``.bval`` file: one line."""
    return " ".join(f"{b:g}" for b in gradients.bvals) + "\n"


def format_bvecs(gradients: Gradients) -> str:
    """Text of a ``.bvec`` file: three lines, x, y, z."""
    return "".join(" ".join(f"{c:.6f}" for c in row) + "\n" for row in gradients.bvecs.T)


def _fsl_to_world(affine: np.ndarray) -> np.ndarray:
    """Orthonormal 3x3 matrix from FSL components to world components."""
    linear = np.asarray(affine, float)[:3, :3]
    linear = linear / np.sqrt((linear**2).sum(axis=0))
    u, _, vt = np.linalg.svd(linear)  # nearest orthonormal matrix, in case of slight shear
    flip = np.diag([-1.0, 1.0, 1.0]) if np.linalg.det(linear) > 0 else np.eye(3)
    return u @ vt @ flip


def _read_numbers(path: Path) -> np.ndarray:
    try:
        return np.atleast_2d(np.loadtxt(path, ndmin=2))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ValueError as error:
        raise DataError(f"{path}: not a table of numbers separated by spaces ({error})") from error


def _read_vectors(path: Path, n_volumes: int) -> np.ndarray:
    table = _read_numbers(path)
    if table.shape == (3, n_volumes):
        return table.T
    if table.shape == (n_volumes, 3):
        return table
    raise DataError(
        f"{path}: a table of {table.shape[0]} x {table.shape[1]} for an image of {n_volumes} "
        f"volumes; 3 x {n_volumes} (FSL) or {n_volumes} x 3 is accepted"
    )


def _unit_vectors(bvecs: np.ndarray, bvals: np.ndarray, path: Path) -> np.ndarray:
    weighted = bvals > B0_MAX
    # several converters write NaN or zeros where there is no direction
    bvecs = np.where((~weighted & ~np.isfinite(bvecs).all(axis=1))[:, None], 0.0, bvecs)
    norms = np.linalg.norm(bvecs, axis=1)
    for volume in np.flatnonzero(weighted):
        if not np.isfinite(norms[volume]):
            problem = "is not a number"
        elif norms[volume] < 1e-6:
            problem = "is zero (a trace-weighted or derived volume must be removed beforehand)"
        elif abs(norms[volume] - 1) > NORM_TOLERANCE:
            problem = f"has length {norms[volume]:.3f}, not 1"
        else:
            continue
        raise DataError(
            f"{path}: the direction of volume {volume} (b = {bvals[volume]:g} s/mm²) {problem}"
        )
    return np.divide(bvecs, norms[:, None], out=np.zeros_like(bvecs), where=norms[:, None] > 1e-6)


def _count_distinct(bvecs: np.ndarray) -> int:
    """Directions that differ by more than a small angle; opposite ones count once."""
    kept: list[np.ndarray] = []
    limit = np.cos(np.deg2rad(MIN_ANGLE_DEGREES))
    for vector in bvecs:
        if all(abs(vector @ other) < limit for other in kept):
            kept.append(vector)
    return len(kept)
