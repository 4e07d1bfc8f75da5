"""Small rigid motion between images of equal contrast, by Gauss-Newton least squares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from bids_gan.geometry import voxel_sizes

_SMOOTHING_MM = (6.0, 4.0)
_ITERATIONS = 12
_CONVERGED_MM = 0.005
HEAD_RADIUS_MM = 50.0
_MAX_SAMPLES = 60_000
_DAMPING = 1e-6


def rigid_matrix(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Rigid 4x4 matrix of a rotation vector (radians) about `centre`, then a translation (mm).

    Parameters
    ----------
    parameters : (6,) array
        Rotation vector and translation.
    centre : (3,) array
    """
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(parameters[:3]).as_matrix()
    matrix[:3, 3] = centre + parameters[3:] - matrix[:3, :3] @ centre
    return matrix


def rigid_parameters(matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Rotation vector (radians) and translation (mm) about `centre`: inverse of `rigid_matrix`."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_matrix(matrix[:3, :3]).as_rotvec()
    return np.concatenate([rotation, matrix[:3, :3] @ centre + matrix[:3, 3] - centre])


class Alignment(NamedTuple):
    """Pull matrix (4, 4) from reference to volume world, and the variances (6,) of its rotation
    vector (radians²) and translation (mm²)."""

    matrix: np.ndarray
    variance: np.ndarray


class RigidAligner:
    """Aligns many volumes to one reference; what depends on the reference is computed once.

    Parameters
    ----------
    reference : (I, J, K) array
    mask : (I, J, K) bool array
        Where the images are compared; slightly wider than the brain is best.
    affine : (4, 4) array
        Voxel to world (mm), shared by reference and volumes.
    spread : (I, J, K) array, optional
        Variance of the contrast among the volumes: where they differ anyway, they count less.

    Notes
    -----
    The gradient is that of the reference, which is known with far less noise than one volume:
    then the noise of the volume cannot pull the estimate off the voxel grid. Gain and offset are
    fitted along, and residuals get Huber weights so that a dropped slice counts little.

    References
    ----------
    Baker S, Matthews I. Lucas-Kanade 20 years on: a unifying framework. IJCV 56:221 (2004),
    the inverse-compositional algorithm.
    """

    def __init__(
        self,
        reference: np.ndarray,
        mask: np.ndarray,
        affine: np.ndarray,
        spread: np.ndarray | None = None,
    ):
        self.affine = np.asarray(affine, float)
        voxels = np.argwhere(mask)
        self.step = max(1, len(voxels) // _MAX_SAMPLES)
        self.voxels = voxels[:: self.step]
        self.world = self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3]
        self.centre = self.world.mean(axis=0)
        self.trust = np.ones(len(self.voxels))
        if spread is not None:
            variance = spread[tuple(self.voxels.T)].astype(float)
            self.trust = 1 / (variance / max(float(np.median(variance)), 1e-12) + 1)
        self.levels = [self._prepare(reference, mm) for mm in _SMOOTHING_MM]

    def _smooth(self, volume: np.ndarray, fwhm: float) -> np.ndarray:
        sigma = fwhm / 2.355 / voxel_sizes(self.affine)
        return ndimage.gaussian_filter(np.asarray(volume, np.float32), sigma, mode="nearest")

    def _prepare(self, reference: np.ndarray, fwhm: float) -> tuple[np.ndarray, np.ndarray]:
        smooth = self._smooth(reference, fwhm)
        at = tuple(self.voxels.T)
        slope = np.stack([g[at] for g in np.gradient(smooth)], axis=1)
        slope = slope @ np.linalg.inv(self.affine[:3, :3])  # per mm of world
        design = np.concatenate([np.cross(self.world - self.centre, slope), slope], axis=1)
        return smooth[at].astype(float), design

    def align(self, volume: np.ndarray, start: np.ndarray | None = None) -> Alignment:
        """Align one volume, from an initial pull matrix if one is given."""
        matrix = np.eye(4) if start is None else np.asarray(start, float)
        for fwhm, (target, design) in zip(_SMOOTHING_MM, self.levels, strict=True):
            smooth = self._smooth(volume, fwhm)
            for _ in range(_ITERATIONS):
                update, variance = self._step(smooth, matrix, target, design)
                matrix = matrix @ np.linalg.inv(rigid_matrix(update, self.centre))
                if size_mm(update) < _CONVERGED_MM:
                    break
        # smoothing correlates neighbours: fewer independent samples than voxels
        sigma = _SMOOTHING_MM[-1] / 2.355 / voxel_sizes(self.affine)
        correlated = np.prod(np.maximum(2 * np.sqrt(np.pi) * sigma, 1)) / self.step
        return Alignment(matrix, variance * max(correlated, 1.0))

    def _step(
        self, smooth: np.ndarray, matrix: np.ndarray, target: np.ndarray, design: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Motion of the reference that explains what is left, and its variance."""
        pull = np.linalg.inv(self.affine) @ matrix @ self.affine
        where = pull[:3, :3] @ self.voxels.T + pull[:3, 3:]
        value = ndimage.map_coordinates(smooth, where, order=1, mode="nearest").astype(float)
        limit = np.array(smooth.shape)[:, None] - 0.5
        seen = self.trust * ((where > -0.5) & (where < limit)).all(axis=0)
        # the noisy volume is the response, never a regressor: that would bias the gain
        columns = np.column_stack([design, target, np.ones(len(target))])
        first, _ = _solve(columns, value, seen)
        solution, variance = _solve(columns, value, seen * _huber(value - columns @ first))
        if solution[6] <= 0:  # nothing in common: stay
            return np.zeros(6), np.full(6, np.inf)
        return solution[:6] / solution[6], variance[:6] / solution[6] ** 2


def _solve(
    columns: np.ndarray, response: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares through the normal equations: coefficients and their variances."""
    weighted = columns.T * weight
    normal = weighted @ columns
    normal[np.diag_indices(len(normal))] *= 1 + _DAMPING
    inverse = np.linalg.pinv(normal, hermitian=True)
    solution = inverse @ (weighted @ response)
    noise = weight @ (response - columns @ solution) ** 2 / max(weight.sum(), 1.0)
    return solution, noise * np.diag(inverse)


def _huber(residual: np.ndarray) -> np.ndarray:
    scale = 1.345 * 1.4826 * np.median(np.abs(residual)) + 1e-12
    return 1 / np.maximum(np.abs(residual) / scale, 1)


def size_mm(parameters: np.ndarray) -> float:
    """Size of a motion in mm: translation, and rotation at 50 mm from the centre."""
    return float(np.linalg.norm(parameters[3:]) + HEAD_RADIUS_MM * np.linalg.norm(parameters[:3]))


def shrink_to_still(alignments: list[Alignment], centre: np.ndarray) -> np.ndarray:
    """Pull matrices (N, 4, 4) with what noise alone explains taken out of the motion.

    Each parameter is multiplied by ``t / (t + v)`` with *v* its variance and *t* the variance of
    true motion, ``mean(parameter² - v)`` over the series (empirical Bayes): a still head stays
    still, and a moving one is hardly touched.
    """
    parameters = np.array([rigid_parameters(a.matrix, centre) for a in alignments])
    variance = np.array([a.variance for a in alignments])
    known = np.isfinite(variance)
    excess = np.where(known, parameters**2 - variance, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    true = np.maximum(excess, 0.0)
    factor = np.divide(
        true, true + variance, out=np.zeros_like(variance), where=known & (true > 0)
    )
    return np.array([rigid_matrix(p, centre) for p in parameters * factor])
