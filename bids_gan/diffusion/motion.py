"""Rigid head motion of every diffusion volume.

Volumes are compared with images of their own contrast only: b=0 volumes with the b=0 reference,
diffusion-weighted volumes with what the others of their shell predict for their direction. The
shell is tied to the b=0 reference by continuity in time, unless a registration between contrasts
clearly disagrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.gradients import Gradients
from bids_gan.diffusion.multimodal import mutual_information_rigid
from bids_gan.diffusion.reference import move
from bids_gan.diffusion.rigid import (
    HEAD_RADIUS_MM,
    RigidAligner,
    rigid_matrix,
    rigid_parameters,
    shrink_to_still,
    size_mm,
)

# Ridge of the prediction, round by round. The mean of the shell first: it gathers moved volumes
# at once. Then nearly least squares, which leaves little contrast to mistake for motion; on its
# own it would be blind to motion that happens to follow the directions.
_RIDGES = (1e6, 1.0, 1.0)
_SHELL_GAP = 0.15  # relative step in b that starts a new shell
_MIN_SHELL = 4
# On simulated heads the registration between contrasts is off by up to this much; it overrules
# continuity in time only beyond.
_CROSS_CONTRAST_MM = 1.5


@dataclass(frozen=True)
class Motion:
    """Head motion of a series.

    Attributes
    ----------
    matrices : (N, 4, 4) array
        Pull matrices from the world of the b=0 reference to the world of each volume.
    fd : (N,) array
        Framewise displacement in mm: absolute changes of three translations and three rotations
        (on a sphere of 50 mm) from the volume before; zero for the first.
    """

    matrices: np.ndarray
    fd: np.ndarray


def estimate_motion(
    img: nib.Nifti1Image, gradients: Gradients, reference: nib.Nifti1Image, mask: np.ndarray
) -> Motion:
    """Estimate head motion relative to the b=0 reference.

    Parameters
    ----------
    img : 4D image
    gradients : Gradients
        N volumes.
    reference : 3D image
        b=0 reference on the grid of `img`.
    mask : (I, J, K) array
        Brain in the distorted image.

    Returns
    -------
    Motion

    References
    ----------
    Power JD et al. Spurious but systematic correlations in functional connectivity MRI networks
    arise from subject motion. NeuroImage 59:2142 (2012), framewise displacement.
    """
    series = np.nan_to_num(np.asarray(img.dataobj, np.float32))
    target = np.asarray(reference.dataobj, np.float32)
    support = ndimage.binary_dilation(np.asarray(mask) > 0, iterations=1)
    matrices = np.tile(np.eye(4), (len(gradients), 1, 1))

    aligner = RigidAligner(target, support, img.affine)
    matrices[gradients.is_b0] = shrink_to_still(
        [aligner.align(series[..., n]) for n in np.flatnonzero(gradients.is_b0)], aligner.centre
    )
    for shell in shells(gradients):
        within, mean = _align_shell(
            series[..., shell], gradients.bvecs[shell], support, img.affine, aligner.centre
        )
        tie = _continuity(within, shell, matrices, gradients.is_b0, aligner.centre)
        seen = mutual_information_rigid(
            target, img.affine, mean, img.affine, fixed_mask=support, moving_mask=support
        )
        apart = size_mm(rigid_parameters(seen @ np.linalg.inv(tie), aligner.centre))
        matrices[shell] = within @ (seen if apart > _CROSS_CONTRAST_MM else tie)
    return Motion(matrices, framewise_displacement(matrices, aligner.centre))


def framewise_displacement(matrices: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Framewise displacement (N,) in mm of (N, 4, 4) rigid matrices about a head `centre`."""
    parameters = np.array([rigid_parameters(m, centre) for m in matrices])
    parameters[:, :3] *= HEAD_RADIUS_MM
    return np.abs(np.diff(parameters, axis=0, prepend=parameters[:1])).sum(axis=1)


def shells(gradients: Gradients) -> list[np.ndarray]:
    """Indices of diffusion-weighted volumes of similar b-value; small groups join a neighbour."""
    weighted = np.flatnonzero(~gradients.is_b0)
    if not len(weighted):
        return []
    order = weighted[np.argsort(gradients.bvals[weighted], kind="stable")]
    b = gradients.bvals[order]
    groups = np.split(order, 1 + np.flatnonzero(np.diff(b) > _SHELL_GAP * b[1:]))
    merged = [groups[0]]
    for group in groups[1:]:
        if min(len(group), len(merged[-1])) < _MIN_SHELL:
            merged[-1] = np.concatenate([merged[-1], group])
        else:
            merged.append(group)
    return [np.sort(group) for group in merged]


def _align_shell(
    series: np.ndarray,
    bvecs: np.ndarray,
    support: np.ndarray,
    affine: np.ndarray,
    centre: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pull matrices (n, 4, 4) from the shell's mean pose to each volume, and the mean image."""
    matrices = np.tile(np.eye(4), (series.shape[3], 1, 1))
    poses, aligned = matrices, series
    for ridge in _RIDGES:
        weights = _leave_one_out(bvecs, ridge).astype(np.float32)
        predicted = aligned @ weights.T
        spread = _smooth_variance(aligned - predicted)
        found = [
            RigidAligner(predicted[..., n], support, affine, spread).align(series[..., n], pose)
            for n, pose in enumerate(poses)
        ]
        poses = [alignment.matrix for alignment in found]
        matrices = shrink_to_still(found, centre)
        aligned = np.stack(
            [move(series[..., n], affine, m, order=1) for n, m in enumerate(matrices)], axis=-1
        )
    return matrices, aligned.mean(axis=-1)


def _smooth_variance(residuals: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter((residuals**2).mean(axis=-1), 1.0)


def _leave_one_out(bvecs: np.ndarray, strength: float) -> np.ndarray:
    """(n, n) weights that predict each volume of a shell from the others.

    A quadratic form in the direction (spherical harmonics up to order two) with a ridge on its
    anisotropic part, so that few directions fall back to their mean.
    """
    x, y, z = bvecs.T
    anisotropic = np.stack([x * y, x * z, y * z, (x**2 - y**2) / 2, (3 * z**2 - 1) / 3.46], 1)
    design = np.column_stack([np.ones(len(bvecs)), anisotropic])
    penalty = np.diag([1e-6] + [strength / len(bvecs)] * 5)
    weights = np.zeros((len(bvecs), len(bvecs)))
    for n in range(len(bvecs)):
        others = np.arange(len(bvecs)) != n
        rest = design[others]
        weights[n, others] = design[n] @ np.linalg.solve(rest.T @ rest + penalty, rest.T)
    return weights


def _continuity(
    within: np.ndarray,
    shell: np.ndarray,
    matrices: np.ndarray,
    is_b0: np.ndarray,
    centre: np.ndarray,
) -> np.ndarray:
    """Pull matrix from reference to the shell's mean pose if the head held still in between.

    The head hardly moves between a b=0 volume and the weighted volume next to it.
    """
    b0 = np.flatnonzero(is_b0)
    gap = np.abs(b0[:, None] - shell)
    ties = [
        rigid_parameters(np.linalg.inv(within[n]) @ matrices[b0[m]], centre)
        for m, n in np.argwhere(gap == gap.min())
    ]
    return rigid_matrix(np.mean(ties, axis=0), centre)
