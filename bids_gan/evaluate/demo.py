"""Compare a corrected diffusion run with the truth of the simulated person it came from."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.ndimage import map_coordinates

from bids_gan.distortion.units import hz_to_voxels, jacobian, mm_per_hz
from bids_gan.evaluate.metrics import pearson, psnr
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes


@dataclass(frozen=True)
class Truth:
    """What is known of a simulated diffusion run.

    Attributes
    ----------
    field, b0, fa, mask : 3D image
        Field (Hz), undistorted signal without diffusion weighting, FA and brain, on one grid.
    fa_t1w : 3D image
        FA on the grid of the T1w, zero outside the brain.
    dwi_to_t1w : (4, 4) array
        Pull matrix from the world of the diffusion series to that of the T1w, RAS+ mm.
    pe_direction : str
    readout_time : float
        Seconds.
    """

    field: nib.Nifti1Image
    b0: nib.Nifti1Image
    fa: nib.Nifti1Image
    mask: nib.Nifti1Image
    fa_t1w: nib.Nifti1Image
    dwi_to_t1w: np.ndarray
    pe_direction: str
    readout_time: float


@dataclass(frozen=True)
class Correction:
    """What a pipeline was given and what it made of it; 3D images on any grid.

    Attributes
    ----------
    field : image
        Estimated field, Hz.
    b0_before, b0_after, fa_before, fa_after : image
        Before and after distortion correction.
    synthetic_fa : image
        On the grid of the T1w.
    dwi_to_t1w : (4, 4) array
        Estimated alignment, as in `Truth`.
    """

    field: nib.Nifti1Image
    b0_before: nib.Nifti1Image
    b0_after: nib.Nifti1Image
    fa_before: nib.Nifti1Image
    fa_after: nib.Nifti1Image
    synthetic_fa: nib.Nifti1Image
    dwi_to_t1w: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Errors inside the true brain; pairs are (before, after) correction.

    Attributes
    ----------
    median_mm, p95_mm : (float, float)
        Absolute displacement error along the phase-encoding axis.
    centred_median_mm : (float, float)
        The median when the mean of the error is removed: a constant shift, which one blip cannot
        tell from head movement between the scans.
    t1w_median_mm : (float, float)
        Median distance along the phase-encoding axis between where a point of the T1w is looked
        for in the recorded image and where it is: alignment and field together.
    b0_psnr, fa_psnr : (float, float)
        dB, for the data range `b0_range` and 1. The b0 is scaled by one factor to fit the truth.
    b0_range : float
        Maximum of the true b0 in the brain.
    min_jacobian : float
        Of the estimated field; below zero the field folds.
    fa_correlation : float
        Pearson's r of synthetic and true FA on the grid of the T1w.
    """

    median_mm: tuple[float, float]
    p95_mm: tuple[float, float]
    centred_median_mm: tuple[float, float]
    t1w_median_mm: tuple[float, float]
    b0_psnr: tuple[float, float]
    fa_psnr: tuple[float, float]
    b0_range: float
    min_jacobian: float
    fa_correlation: float

    @property
    def improved(self) -> bool:
        """Whether the displacement error fell and the field does not fold."""
        return self.median_mm[1] < self.median_mm[0] and self.min_jacobian > 0


def compare_with_truth(truth: Truth, correction: Correction) -> Comparison:
    """Measure how much of a known distortion a correction removed.

    Parameters
    ----------
    truth : Truth
    correction : Correction

    Returns
    -------
    Comparison
    """
    brain = np.asarray(truth.mask.dataobj) > 0

    def values(img: nib.Nifti1Image) -> np.ndarray:
        return _on_grid(img, truth.mask)[brain].astype(float)

    mm = mm_per_hz(truth.field.affine, truth.pe_direction, truth.readout_time)
    before = -mm * values(truth.field)
    after = before + mm * values(correction.field)
    field = _on_grid(correction.field, truth.mask)
    shift = hz_to_voxels(field, truth.pe_direction, truth.readout_time)
    true_b0, true_fa = values(truth.b0), values(truth.fa)
    b0_range = float(true_b0.max())
    b0_pair = (values(correction.b0_before), values(correction.b0_after))
    fa_pair = (values(correction.fa_before), values(correction.fa_after))
    errors = (before, after)
    everywhere = np.ones_like(true_fa, bool)
    head = np.asarray(truth.fa_t1w.dataobj)
    return Comparison(
        median_mm=tuple(float(np.median(np.abs(e))) for e in errors),
        p95_mm=tuple(float(np.percentile(np.abs(e), 95)) for e in errors),
        centred_median_mm=tuple(float(np.median(np.abs(e - e.mean()))) for e in errors),
        t1w_median_mm=_t1w_to_recorded_errors(truth, correction, brain, shift),
        b0_psnr=tuple(psnr(_scaled(b0, true_b0), true_b0, everywhere, b0_range) for b0 in b0_pair),
        fa_psnr=tuple(psnr(fa, true_fa, everywhere, 1.0) for fa in fa_pair),
        b0_range=b0_range,
        min_jacobian=float(jacobian(shift, pe_axis_sign(truth.pe_direction)[0])[brain].min()),
        fa_correlation=pearson(_on_grid(correction.synthetic_fa, truth.fa_t1w), head, head > 0),
    )


def format_comparison(comparison: Comparison) -> str:
    """Table of a comparison as plain text."""
    c = comparison
    rows = [
        ("displacement error, median (mm)", "{:.2f}", c.median_mm),
        ("displacement error, 95th percentile (mm)", "{:.2f}", c.p95_mm),
        ("median without the mean shift (mm)", "{:.2f}", c.centred_median_mm),
        ("T1w to recorded image, median (mm)", "{:.2f}", c.t1w_median_mm),
        (f"b0 PSNR (dB, data range {c.b0_range:.0f})", "{:.1f}", c.b0_psnr),
        ("FA PSNR (dB, data range 1)", "{:.1f}", c.fa_psnr),
        ("smallest Jacobian of the field", "{:.2f}", (None, c.min_jacobian)),
        ("synthetic FA against true FA (r)", "{:.2f}", (None, c.fa_correlation)),
    ]
    lines = [f"{'inside the true brain':<44}{'before':>8}{'after':>8}"]
    for name, form, pair in rows:
        cells = ("-" if value is None else form.format(value) for value in pair)
        lines.append(f"{name:<44}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)


def _t1w_to_recorded_errors(truth, correction, brain, shift) -> tuple[float, float]:
    """Median error in mm with the estimated alignment: without field, with the estimated one."""
    axis, _ = pe_axis_sign(truth.pe_direction)
    affine = truth.mask.affine
    true_shift = hz_to_voxels(
        np.asarray(truth.field.dataobj)[brain], truth.pe_direction, truth.readout_time
    )
    voxels = np.argwhere(brain)
    recorded = voxels[:, axis] + true_shift
    aligned = np.linalg.inv(affine) @ np.linalg.inv(correction.dwi_to_t1w)
    sought = nib.affines.apply_affine(aligned @ truth.dwi_to_t1w @ affine, voxels)
    displaced = sought[:, axis] + map_coordinates(shift, sought.T, order=1, mode="nearest")
    size = voxel_sizes(affine)[axis]
    return tuple(
        float(size * np.median(np.abs(place - recorded))) for place in (sought[:, axis], displaced)
    )


def _on_grid(img: nib.Nifti1Image, grid: nib.Nifti1Image) -> np.ndarray:
    data = np.asarray(img.dataobj, np.float32)
    return resample(data, img.affine, grid.shape, grid.affine)


def _scaled(data: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`data` times the factor that brings it closest to `truth`."""
    return data * ((data @ truth) / max(float(data @ data), 1e-12))
