"""From prepared images to a judged correction: align, estimate the field, decide."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_gan.diffusion.mask import b0_mask
from bids_gan.distortion.alignment import Alignment, align_distorted, align_undistorted
from bids_gan.distortion.coregister import Brain, Coregistration
from bids_gan.distortion.estimate import estimate_field, similarity
from bids_gan.distortion.guides import correct_bias, t2_like
from bids_gan.distortion.quality import GateThresholds, judge
from bids_gan.distortion.types import (
    EstimatorSettings,
    FieldEstimate,
    FieldPrior,
    Guides,
    Measured,
)
from bids_gan.distortion.units import hz_to_voxels
from bids_gan.distortion.unwarp import correct_series
from bids_gan.geometry import box_grid, pe_axis_sign, resample, voxel_sizes

if TYPE_CHECKING:
    from torch import nn

_GUIDE_MM = 1.5
_GUIDE_MARGIN_MM = 6.0


@dataclass(frozen=True)
class CorrectionSettings:
    """Settings of the estimator and of the no-harm gate."""

    estimator: EstimatorSettings = field(default_factory=EstimatorSettings)
    gate: GateThresholds = field(default_factory=GateThresholds)


@dataclass(frozen=True)
class Correction:
    """Result of `estimate_correction`.

    Attributes
    ----------
    estimate : FieldEstimate
        Field in Hz and in mm on the diffusion grid, brain mask.
    coregistration : Coregistration
        The registration or the headers, see :mod:`bids_gan.distortion.alignment`.
    quality : dict
        ``accepted``, ``reasons`` and the numbers of the no-harm gate.
    synth_fa_dwi : (I, J, K) float32 array
        Synthetic FA on the diffusion grid.
    """

    estimate: FieldEstimate
    coregistration: Coregistration
    quality: dict
    synth_fa_dwi: np.ndarray


@dataclass(frozen=True)
class RunImages:
    """What a diffusion run is corrected from.

    Attributes
    ----------
    t1w, brain_mask, tissue, synth_fa : 3D images
        Bias-corrected T1w, its brain mask, tissue labels (1 CSF, 2 grey, 3 white) and the
        synthetic FA, all on one grid.
    b0 : 3D image
        b=0 reference, distorted.
    b0_mask, fa : (I, J, K) array
        Brain mask and FA on the grid of `b0`, distorted.

    Raises
    ------
    ValueError
        If shapes differ or a mask is empty.
    """

    t1w: nib.Nifti1Image
    brain_mask: nib.Nifti1Image
    tissue: nib.Nifti1Image
    synth_fa: nib.Nifti1Image
    b0: nib.Nifti1Image
    b0_mask: np.ndarray
    fa: np.ndarray

    def __post_init__(self):
        for name in ("brain_mask", "tissue", "synth_fa"):
            shape = getattr(self, name).shape
            if shape != self.t1w.shape:
                raise ValueError(f"{name} has shape {shape}, the T1w {self.t1w.shape}")
        for name in ("b0_mask", "fa"):
            shape = getattr(self, name).shape
            if shape != self.b0.shape:
                raise ValueError(f"{name} has shape {shape}, the b=0 reference {self.b0.shape}")
        if not np.any(self.b0_mask) or not np.any(np.asarray(self.brain_mask.dataobj)):
            raise ValueError("a brain mask is empty")

    def corrected(self, hz: np.ndarray, pe_direction: str, readout_time: float) -> RunImages:
        """The same with b=0 reference, its mask and FA corrected by a field."""
        scan = (hz, pe_direction, readout_time)
        b0 = correct_series(self.b0, *scan)
        fa = correct_series(nib.Nifti1Image(self.fa, b0.affine), *scan, modulate=False)
        mask = b0_mask(np.asarray(b0.dataobj), b0.affine)
        return replace(self, b0=b0, b0_mask=mask, fa=np.asarray(fa.dataobj))

    def brain_on_b0(self, dwi_to_t1w: np.ndarray) -> np.ndarray:
        """Brain (I, J, K) of the T1w on the diffusion grid, through a pull matrix."""
        brain = (np.asarray(self.brain_mask.dataobj) > 0).astype(np.float32)
        grid = (self.b0.shape[:3], self.b0.affine)
        there = resample(brain, self.t1w.affine, *grid, target_to_source=dwi_to_t1w)
        return there > 0.5

    def guides(self) -> tuple[Guides, Brain]:
        """Guide images and T1w on a grid just fine enough, around the brain."""
        mask = np.asarray(self.brain_mask.dataobj) > 0
        intensity = np.asarray(self.t1w.dataobj, np.float32)
        shape, affine = box_grid(mask, self.t1w.affine, _GUIDE_MM, _GUIDE_MARGIN_MM)

        def coarse(data):
            return resample(data, self.t1w.affine, shape, affine)

        t2 = coarse(t2_like(intensity, mask, np.asarray(self.tissue.dataobj)))
        fa = coarse(np.where(mask, np.asarray(self.synth_fa.dataobj, np.float32), 0))
        inside = coarse(mask.astype(np.float32)) > 0.5
        anatomy = coarse(np.where(mask, intensity, 0))
        return Guides(fa, t2, inside, affine), Brain(anatomy, inside, affine)

    def measured(self, pe_direction: str, readout_time: float) -> Measured:
        """Diffusion images as the estimator takes them."""
        mask = np.asarray(self.b0_mask) > 0
        return Measured(
            b0=correct_bias(np.asarray(self.b0.dataobj, np.float32), mask, self.b0.affine),
            fa=np.where(mask, np.nan_to_num(self.fa), 0).astype(np.float32),
            affine=self.b0.affine,
            pe_direction=pe_direction,
            readout_time=readout_time,
        )


def estimate_correction(
    images: RunImages,
    pe_direction: str,
    readout_time: float,
    network: nn.Module,
    settings: CorrectionSettings | None = None,
) -> Correction:
    """Estimate and judge the susceptibility correction of one diffusion run.

    Parameters
    ----------
    images : RunImages
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.
    network : module
        Learnt estimator, see :mod:`bids_gan.distortion.learnt`: the estimate starts from what it
        expects and is held to it where it is sure.
    settings : CorrectionSettings, optional

    Returns
    -------
    Correction

    Raises
    ------
    ValueError
        If the readout time is not positive.
    """
    if not readout_time > 0:
        raise ValueError(f"readout time {readout_time} s is not positive")
    settings = settings or CorrectionSettings()
    guides, anatomy = images.guides()
    measured = images.measured(pe_direction, readout_time)
    mask = np.asarray(images.b0_mask) > 0
    found, estimate = aligned_field(measured, mask, guides, anatomy, network, settings.estimator)
    scene = (measured, guides, found, estimate, network)
    return Correction(
        estimate=estimate,
        coregistration=found.coregistration,
        quality=judge(*scene, settings.gate),
        synth_fa_dwi=resample(
            np.asarray(images.synth_fa.dataobj, np.float32),
            images.synth_fa.affine,
            images.b0.shape[:3],
            images.b0.affine,
            target_to_source=estimate.dwi_to_t1w,
        ),
    )


def expected_displacement(
    images: RunImages, pe_direction: str, readout_time: float, network: nn.Module
) -> FieldPrior:
    """What the T1w and its synthetic images let expect of the displacement of a run.

    Parameters
    ----------
    images, pe_direction, readout_time, network
        As of :func:`estimate_correction`.

    Returns
    -------
    FieldPrior
        On the diffusion grid; nothing is expected outside the brain, its standard deviation is
        infinite there.
    """
    guides, anatomy = images.guides()
    measured = images.measured(pe_direction, readout_time)
    found = align_distorted(measured, np.asarray(images.b0_mask) > 0, guides, anatomy, network)
    expected, grid = found.expected, (images.b0.shape[:3], images.b0.affine)
    mm, sigma = (
        resample(m, expected.affine, *grid, antialias=False, mode="nearest")
        for m in (expected.mm, expected.sigma_mm)
    )
    brain = images.brain_on_b0(found.coregistration.dwi_to_t1w)
    return FieldPrior(mm, np.where(brain, sigma, np.inf), images.b0.affine)


def aligned_field(
    measured: Measured,
    b0_mask: np.ndarray,
    guides: Guides,
    anatomy: Brain,
    network: nn.Module,
    settings: EstimatorSettings | None = None,
) -> tuple[Alignment, FieldEstimate]:
    """Alignment and field of a distorted image.

    Parameters
    ----------
    measured, b0_mask, guides, anatomy, network
        As of :func:`bids_gan.distortion.alignment.align_distorted`.
    settings : EstimatorSettings, optional

    Returns
    -------
    Alignment, FieldEstimate
    """
    found = align_distorted(measured, b0_mask, guides, anatomy, network)
    pull = found.coregistration.dwi_to_t1w
    estimate = estimate_field(measured, guides, pull, settings, found.expected)
    return found, estimate


def align(images: RunImages) -> np.ndarray:
    """Rigid alignment of diffusion images whose distortion is corrected, or is left.

    Parameters
    ----------
    images : RunImages

    Returns
    -------
    (4, 4) array
        Pull matrix from diffusion world to T1w world.
    """
    guides, anatomy = images.guides()
    measured = images.measured("j", 1.0)  # no field, no direction
    mask = np.asarray(images.b0_mask) > 0
    return align_undistorted(measured, mask, guides, anatomy).dwi_to_t1w


def agreement(
    images: RunImages,
    hz: np.ndarray,
    dwi_to_t1w: np.ndarray,
    pe_direction: str,
    readout_time: float,
) -> dict[str, float]:
    """How well the images agree with the T1w before and after a field that was not fitted to them.

    Parameters
    ----------
    images : RunImages
    hz : (I, J, K) array
        Field on the diffusion grid.
    dwi_to_t1w : (4, 4) array
        Pull matrix from diffusion world to T1w world.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.

    Returns
    -------
    dict
        ``<image>_before``, ``_after`` (mean local correlation of ``b0`` with the anatomy and of
        ``fa`` with the synthetic FA) and ``_gain``, the difference; positive is better.
    """
    axis, _ = pe_axis_sign(pe_direction)
    mm = hz_to_voxels(hz, pe_direction, readout_time) * voxel_sizes(images.b0.affine)[axis]
    scene = (images.measured(pe_direction, readout_time), images.guides()[0], dwi_to_t1w)
    before, after = similarity(*scene, np.zeros_like(mm)), similarity(*scene, mm)
    numbers = {}
    for name in ("b0", "fa"):
        numbers[f"{name}_before"] = before[name]
        numbers[f"{name}_after"] = after[name]
        numbers[f"{name}_gain"] = after[name] - before[name]
    return numbers
