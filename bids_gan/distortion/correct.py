"""From prepared images to a judged correction: align, estimate the field, decide."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import nibabel as nib
import numpy as np

from bids_gan.distortion.coregister import Brain, Coregistration, coregister
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.guides import correct_bias, t2_like
from bids_gan.distortion.quality import GateThresholds, judge
from bids_gan.distortion.types import EstimatorSettings, FieldEstimate, Guides, Measured
from bids_gan.geometry import box_grid, resample

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
        Field in Hz and in mm on the diffusion grid, refined alignment, brain mask.
    coregistration : Coregistration
        The alignment before refinement: the registration or the headers, whichever led to the
        better fit.
    quality : dict
        ``accepted``, ``reasons`` and the numbers of the no-harm gate.
    synth_fa_dwi : (I, J, K) float32 array
        Synthetic FA on the diffusion grid.
    """

    estimate: FieldEstimate
    coregistration: Coregistration
    quality: dict
    synth_fa_dwi: np.ndarray


def estimate_correction(
    *,
    t1w: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    tissue: nib.Nifti1Image,
    synth_fa: nib.Nifti1Image,
    b0: nib.Nifti1Image,
    b0_mask: np.ndarray,
    fa: np.ndarray,
    pe_direction: str,
    readout_time: float,
    settings: CorrectionSettings | None = None,
) -> Correction:
    """Estimate and judge the susceptibility correction of one diffusion run.

    Parameters
    ----------
    t1w, brain_mask, tissue, synth_fa : 3D images
        Bias-corrected T1w, its brain mask, tissue labels (1 CSF, 2 grey, 3 white) and the
        synthetic FA, all on one grid.
    b0 : 3D image
        b=0 reference, distorted.
    b0_mask, fa : (I, J, K) array
        Brain mask and FA on the grid of `b0`, distorted.
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.
    settings : CorrectionSettings, optional

    Returns
    -------
    Correction

    Raises
    ------
    ValueError
        If shapes differ, a mask is empty or the readout time is not positive.
    """
    settings = settings or CorrectionSettings()
    b0_mask = np.asarray(b0_mask) > 0
    _check(t1w, brain_mask, tissue, synth_fa, b0, b0_mask, fa, readout_time)
    guides, anatomy = _prepare_guides(t1w, brain_mask, tissue, synth_fa)
    measured = _measured(b0, b0_mask, fa, pe_direction, readout_time)
    coregistration, estimate = _best_fit(measured, b0_mask, guides, anatomy, settings.estimator)
    return Correction(
        estimate=estimate,
        coregistration=coregistration,
        quality=judge(
            measured, guides, coregistration, estimate, settings.estimator, settings.gate
        ),
        synth_fa_dwi=resample(
            np.asarray(synth_fa.dataobj, np.float32),
            synth_fa.affine,
            b0.shape[:3],
            b0.affine,
            target_to_source=estimate.dwi_to_t1w,
        ),
    )


def align(
    *,
    t1w: nib.Nifti1Image,
    brain_mask: nib.Nifti1Image,
    tissue: nib.Nifti1Image,
    synth_fa: nib.Nifti1Image,
    b0: nib.Nifti1Image,
    b0_mask: np.ndarray,
    fa: np.ndarray,
    settings: EstimatorSettings | None = None,
) -> np.ndarray:
    """Rigid alignment of diffusion images whose distortion is corrected, or is left.

    Parameters
    ----------
    t1w, brain_mask, tissue, synth_fa, b0, b0_mask, fa
        As for :func:`estimate_correction`.
    settings : EstimatorSettings, optional

    Returns
    -------
    (4, 4) array
        Pull matrix from diffusion world to T1w world.
    """
    b0_mask = np.asarray(b0_mask) > 0
    _check(t1w, brain_mask, tissue, synth_fa, b0, b0_mask, fa, 1.0)
    guides, anatomy = _prepare_guides(t1w, brain_mask, tissue, synth_fa)
    settings = settings or EstimatorSettings()
    levels = tuple(level for level in settings.levels if level.rigid)
    settings = replace(settings, levels=levels, rate_field=0.0)  # the pose alone moves
    measured = _measured(b0, b0_mask, fa, "j", 1.0)  # no field, no direction
    return _best_fit(measured, b0_mask, guides, anatomy, settings)[1].dwi_to_t1w


def _measured(b0, b0_mask, fa, pe_direction: str, readout_time: float) -> Measured:
    return Measured(
        b0=correct_bias(np.asarray(b0.dataobj, np.float32), b0_mask, b0.affine),
        fa=np.where(b0_mask, np.nan_to_num(fa), 0).astype(np.float32),
        affine=b0.affine,
        pe_direction=pe_direction,
        readout_time=readout_time,
    )


def _best_fit(
    measured: Measured, b0_mask, guides: Guides, anatomy: Brain, settings: EstimatorSettings
) -> tuple[Coregistration, FieldEstimate]:
    """Fit from each start that is believable; the better one."""
    found = coregister(Brain(measured.b0, b0_mask, measured.affine), anatomy)
    fits = [
        (start, estimate_field(measured, guides, start.dwi_to_t1w, settings))
        for start in _alignments(found)
    ]
    return min(fits, key=lambda fit: fit[1].disagreement)


def _alignments(found: Coregistration) -> list[Coregistration]:
    """Where to start from: distortion misleads mutual information, and headers can be stale.

    Which of them fits better shows only once the distortion is modelled too.
    """
    if found.start != "header" or found.source == "header":
        return [found]
    headers = replace(
        found,
        dwi_to_t1w=np.eye(4),
        source="header",
        moved_mm=0.0,
        moved_degrees=0.0,
        overlap=found.header_overlap,
    )
    return [found, headers]


def _prepare_guides(t1w, brain_mask, tissue, synth_fa) -> tuple[Guides, Brain]:
    """Guide images and T1w on a grid just fine enough, around the brain."""
    mask = np.asarray(brain_mask.dataobj) > 0
    intensity = np.asarray(t1w.dataobj, np.float32)
    shape, affine = box_grid(mask, t1w.affine, _GUIDE_MM, _GUIDE_MARGIN_MM)

    def coarse(data):
        return resample(data, t1w.affine, shape, affine)

    t2 = coarse(t2_like(intensity, mask, np.asarray(tissue.dataobj)))
    fa = coarse(np.where(mask, np.asarray(synth_fa.dataobj, np.float32), 0))
    inside = coarse(mask.astype(np.float32)) > 0.5
    anatomy = coarse(np.where(mask, intensity, 0))
    return Guides(fa, t2, inside, affine), Brain(anatomy, inside, affine)


def _check(t1w, brain_mask, tissue, synth_fa, b0, b0_mask, fa, readout_time) -> None:
    for name, img in (("brain_mask", brain_mask), ("tissue", tissue), ("synth_fa", synth_fa)):
        if img.shape != t1w.shape:
            raise ValueError(f"{name} has shape {img.shape}, the T1w {t1w.shape}")
    for name, data in (("b0_mask", b0_mask), ("fa", fa)):
        if data.shape != b0.shape:
            raise ValueError(f"{name} has shape {data.shape}, the b=0 reference {b0.shape}")
    if not b0_mask.any() or not np.any(np.asarray(brain_mask.dataobj)):
        raise ValueError("a brain mask is empty")
    if not readout_time > 0:
        raise ValueError(f"readout time {readout_time} s is not positive")
