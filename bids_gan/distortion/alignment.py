"""Where T1w and diffusion images lie: as the headers say, or as a registration finds.

Distortion misleads a registration by millimetres and degrees, and headers are stale once the head
has moved. Which of the two is right shows in how well the rest can be explained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_gan.distortion.coregister import Brain, Coregistration, coregister
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.learnt import predict
from bids_gan.distortion.types import EstimatorSettings, FieldPrior, Guides, Level, Measured
from bids_gan.distortion.unwarp import correct_series
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

if TYPE_CHECKING:
    from torch import nn

#: the headers are believed unless a registration lowers the expected error to this share
_CLEARLY_LESS = 0.8
#: of the fit of a pose alone, without a field
_POSE_ONLY = EstimatorSettings(
    levels=(Level(6.0, 36.0, 1.0, 60), Level(6.0, 20.0, 0.5, 60)),
    rate_field=0.0,
    refine_rigid=True,
)


@dataclass(frozen=True)
class Alignment:
    """An alignment, and the field that the learnt estimator expects under it.

    Attributes
    ----------
    coregistration : Coregistration
    expected : FieldPrior
    error_mm : float
        Root mean square in the brain of the standard deviation that it predicts.
    """

    coregistration: Coregistration
    expected: FieldPrior
    error_mm: float


def align_distorted(
    measured: Measured, b0_mask: np.ndarray, guides: Guides, anatomy: Brain, network: nn.Module
) -> Alignment:
    """Align a distorted image with the T1w.

    Parameters
    ----------
    measured : Measured
    b0_mask : (I, J, K) bool array
        Brain mask of the diffusion reference.
    guides : Guides
    anatomy : Brain
        T1w and its brain mask.
    network : module
        See :func:`bids_gan.distortion.learnt.predict`.

    Returns
    -------
    Alignment

    Notes
    -----
    Three are compared: the headers, a registration of the recorded image, and one of the image
    that is corrected by the field expected so far. The scans of a session share the scanner's
    coordinates, so the headers are kept unless a registration makes the network clearly surer.
    How far the chosen one is from the last registration (or that from the first) is noted
    in it: where a head moved, or nothing fits, they differ.
    """

    def under(coregistration: Coregistration) -> Alignment:
        scene = (measured, guides, coregistration.dwi_to_t1w)
        expected = predict(*scene, network)
        return Alignment(coregistration, expected, _expected_error(expected, *scene[1:]))

    first = coregister(Brain(measured.b0, b0_mask, measured.affine), anatomy)
    found = [under(first)]
    if first.start == "header" and first.source == "registration":
        found.append(under(first.by_headers()))
    best = _surest(found)
    again = coregister(corrected_brain(measured, b0_mask, best.expected), anatomy)
    best = _surest([*found, under(again)])
    other = first if best.coregistration is again else again
    return replace(best, coregistration=best.coregistration.beside(other))


def align_undistorted(
    measured: Measured, b0_mask: np.ndarray, guides: Guides, anatomy: Brain
) -> Coregistration:
    """Align an image without distortion, or one whose distortion is left.

    Parameters
    ----------
    measured, b0_mask, guides, anatomy
        As of :func:`align_distorted`.

    Returns
    -------
    Coregistration
        From the registration or from the headers, refined by the local correlation with the
        guides; whichever ends with the better one.
    """
    first = coregister(Brain(measured.b0, b0_mask, measured.affine), anatomy)
    starts = [first]
    if first.start == "header" and first.source == "registration":
        starts.append(first.by_headers())
    fits = [
        (start, estimate_field(measured, guides, start.dwi_to_t1w, _POSE_ONLY)) for start in starts
    ]
    start, fit = min(fits, key=lambda pair: pair[1].disagreement)
    return replace(start, dwi_to_t1w=fit.dwi_to_t1w)


def _surest(found: list[Alignment]) -> Alignment:
    """The one with the least expected error, where the headers have an advantage."""

    def error(one: Alignment) -> float:
        share = _CLEARLY_LESS if one.coregistration.source == "header" else 1.0
        return share * one.error_mm

    return min(found, key=error)


def _expected_error(expected: FieldPrior, guides: Guides, dwi_to_t1w: np.ndarray) -> float:
    inside = resample(
        (guides.mask > 0).astype(np.float32), guides.affine, expected.mm.shape, expected.affine,
        target_to_source=dwi_to_t1w,
    )  # fmt: skip
    return float(np.sqrt(np.mean(expected.sigma_mm[inside > 0.5] ** 2)))


def corrected_brain(measured: Measured, b0_mask: np.ndarray, field: FieldPrior) -> Brain:
    """b=0 image and its mask, corrected by an expected field.

    Parameters
    ----------
    measured : Measured
    b0_mask : (I, J, K) bool array
    field : FieldPrior
    """
    axis, _ = pe_axis_sign(measured.pe_direction)
    mm = resample(
        field.mm, field.affine, b0_mask.shape, measured.affine, antialias=False, mode="nearest"
    )
    # a readout of one second: a field in Hz is a displacement in voxels
    voxels = mm / voxel_sizes(measured.affine)[axis]
    towards_larger = measured.pe_direction[0]

    def corrected(image, **how):
        image = nib.Nifti1Image(np.asarray(image, np.float32), measured.affine)
        return np.asarray(correct_series(image, voxels, towards_larger, 1.0, **how).dataobj)

    mask = corrected(b0_mask, modulate=False) > 0.5
    return Brain(corrected(measured.b0), mask, measured.affine)
