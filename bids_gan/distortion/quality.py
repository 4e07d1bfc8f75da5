"""No-harm gate: is an estimated field better than no correction?

How well the corrected images agree with their guides says nothing, because that agreement was
optimised and rises under wrong fields too. Judged instead: whether a field found from FA alone
improves the b=0 image that it never saw, and the reverse, whether both find the same, whether a
network that was taught fields expects one like it (all this in one score,
:mod:`bids_gan.distortion.score`), and whether the field is physical.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bids_gan.diffusion.rigid import rigid_parameters
from bids_gan.distortion.coregister import Coregistration
from bids_gan.distortion.estimate import estimate_field, similarity
from bids_gan.distortion.score import calibrated
from bids_gan.distortion.types import (
    EstimatorSettings,
    FieldEstimate,
    FieldPrior,
    Guides,
    Measured,
)
from bids_gan.distortion.units import jacobian
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

_LEAST_SIGMA_MM = 0.1


@dataclass(frozen=True)
class GateThresholds:
    """Limits that hold whatever the score says: beyond them no correction is believable.

    Attributes
    ----------
    steep_share : float
        Largest share of brain voxels with a Jacobian below 0.5.
    displacement_mm : float
        Largest 99th percentile of the absolute displacement in the brain.
    refined_degrees, refined_mm : float
        Largest change of the rigid alignment by the joint refinement.
    overlap : float
        Least share of the smaller brain mask inside the other.
    """

    steep_share: float = 0.005
    displacement_mm: float = 15.0
    refined_degrees: float = 3.0
    refined_mm: float = 5.0
    overlap: float = 0.8


def judge(
    measured: Measured,
    guides: Guides,
    coregistration: Coregistration,
    estimate: FieldEstimate,
    expected: FieldPrior,
    settings: EstimatorSettings | None = None,
    thresholds: GateThresholds | None = None,
) -> dict:
    """Decide whether a field estimate may be used.

    Parameters
    ----------
    measured, guides
        As given to `estimate_field`.
    coregistration : Coregistration
    estimate : FieldEstimate
    expected : FieldPrior
        What a network expects of these images, see :func:`bids_gan.distortion.learnt.predict`.
    settings : EstimatorSettings, optional
        The ones used for `estimate`.
    thresholds : GateThresholds, optional

    Returns
    -------
    dict
        ``accepted`` (bool), ``reasons`` (list of sentences, empty when accepted) and the numbers
        behind them.
    """
    numbers = {
        **_field_numbers(measured, estimate),
        **_rigid_numbers(coregistration, estimate),
        **learnt_numbers(measured, estimate, expected),
        **held_out(measured, guides, estimate.dwi_to_t1w, settings),
    }
    numbers["gate_score"] = calibrated().of(numbers)
    against = reasons(numbers, thresholds)
    return {"accepted": not against, "reasons": against, **numbers}


def held_out(
    measured: Measured,
    guides: Guides,
    dwi_to_t1w: np.ndarray,
    settings: EstimatorSettings | None = None,
) -> dict[str, float]:
    """What a field from FA alone does to b=0, one from b=0 alone to FA, and how they differ.

    Returns
    -------
    dict
        ``held_out_<image>_before``, ``_after`` and ``_gain`` (local correlation with the guide),
        and ``displacement_spread_mm``.

    Notes
    -----
    The error of a mean of two independent estimates has half the standard deviation of their
    difference. So ``displacement_spread_mm``, half the root mean square difference of the two
    fields in the brain, has the size of the error that is to be expected. What both fields share
    is not in it: a shift of the whole head along phase encoding, details that neither resolves.
    It is one number, because *where* they differ does not say where the error lies.
    """
    fits = held_out_fits(measured, guides, dwi_to_t1w, settings)

    def alike(field):
        return similarity(measured, guides, dwi_to_t1w, field)

    before, numbers = alike(np.zeros(measured.b0.shape)), {}
    for name, fit in fits.items():
        after = alike(fit.displacement_mm)[name]
        numbers[f"held_out_{name}_before"] = before[name]
        numbers[f"held_out_{name}_after"] = after
        numbers[f"held_out_{name}_gain"] = after - before[name]
    from_fa, from_b0 = (fits[name].displacement_mm[fits[name].mask] for name in ("b0", "fa"))
    return numbers | {
        "held_out_correlation": _correlation(from_fa, from_b0),
        "displacement_spread_mm": float(np.sqrt(np.mean((from_fa - from_b0) ** 2)) / 2),
    }


def held_out_fits(
    measured: Measured,
    guides: Guides,
    dwi_to_t1w: np.ndarray,
    settings: EstimatorSettings | None = None,
) -> dict[str, FieldEstimate]:
    """Cheap estimates from one image alone, by the image that was held out: ``b0``, ``fa``."""
    settings = settings or EstimatorSettings()
    cheap = replace(settings, levels=settings.levels[:-1], refine_rigid=False)
    only_fa = replace(cheap, weight_fa=1.0, weight_b0=0.0)
    only_b0 = replace(cheap, weight_fa=0.0, weight_b0=1.0)
    return {
        name: estimate_field(measured, guides, dwi_to_t1w, weights)
        for name, weights in (("b0", only_fa), ("fa", only_b0))
    }


def _field_numbers(measured: Measured, estimate: FieldEstimate) -> dict[str, float]:
    axis, _ = pe_axis_sign(measured.pe_direction)
    voxels = estimate.displacement_mm / voxel_sizes(measured.affine)[axis]
    numbers = field_numbers(voxels, measured.affine, axis, estimate.mask)
    if estimate.expected_error_mm is not None:
        numbers["expected_error_mm"] = estimate.expected_error_mm
    return numbers


def learnt_numbers(
    measured: Measured, estimate: FieldEstimate, expected: FieldPrior
) -> dict[str, float]:
    """How a field compares, in the brain, with what a network expects that did not see it.

    Returns
    -------
    dict
        ``learnt_correlation``; ``learnt_size``, root mean square of what is expected over that of
        the field; ``learnt_difference``, root mean square difference in units of the standard
        deviation that the network predicts, at least 0.1 mm.
    """
    grid = (measured.b0.shape, measured.affine)
    mean, sigma = (
        resample(m, expected.affine, *grid, antialias=False)[estimate.mask]
        for m in (expected.mm, expected.sigma_mm)
    )
    field = estimate.displacement_mm[estimate.mask]
    difference = (mean - field) / np.maximum(sigma, _LEAST_SIGMA_MM)
    return {
        "learnt_correlation": _correlation(mean, field),
        "learnt_size": float(np.sqrt(np.mean(mean**2) / max(np.mean(field**2), 1e-6))),
        "learnt_difference": float(np.sqrt(np.mean(difference**2))),
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two fields; zero where one of them is the same everywhere."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else 0.0


def field_numbers(
    shift: np.ndarray, affine: np.ndarray, axis: int, mask: np.ndarray
) -> dict[str, float]:
    """Jacobian and size in the brain of a voxel shift (I, J, K) along an array axis."""
    inside = jacobian(shift, axis)[mask]
    displacement = np.abs(shift[mask]) * voxel_sizes(affine)[axis]
    return {
        "jacobian_min": float(inside.min()),
        "jacobian_steep_share": float((inside < 0.5).mean()),
        "displacement_median_mm": float(np.median(displacement)),
        "displacement_p95_mm": float(np.percentile(displacement, 95)),
        "displacement_p99_mm": float(np.percentile(displacement, 99)),
    }


def _rigid_numbers(coregistration: Coregistration, estimate: FieldEstimate) -> dict[str, float]:
    change = estimate.dwi_to_t1w @ np.linalg.inv(coregistration.dwi_to_t1w)
    # the refinement turned about the brain's centre, which the start put here
    parameters = rigid_parameters(change, coregistration.centre)
    return {
        "refined_degrees": float(np.rad2deg(np.linalg.norm(parameters[:3]))),
        "refined_mm": float(np.linalg.norm(parameters[3:])),
        "overlap": coregistration.overlap,
    }


def reasons(numbers: dict[str, float], thresholds: GateThresholds | None = None) -> list[str]:
    """Sentences for all that speaks against a field with the numbers of `judge`."""
    objection = calibrated().objection(numbers)
    return physical_reasons(numbers, thresholds) + ([objection] if objection else [])


def physical_reasons(
    numbers: dict[str, float], thresholds: GateThresholds | None = None
) -> list[str]:
    """Sentences for every limit that is broken."""
    n, limits = numbers, thresholds or GateThresholds()
    checks = (
        (
            n["jacobian_steep_share"] > limits.steep_share,
            f"{n['jacobian_steep_share']:.1%} of the brain is compressed to less than half its "
            f"width; at most {limits.steep_share:.1%} is believable.",
        ),
        (
            n["displacement_p99_mm"] > limits.displacement_mm,
            f"The 99th percentile of the displacement is {n['displacement_p99_mm']:.1f} mm; "
            f"at most {limits.displacement_mm:.1f} mm is believable.",
        ),
        (
            n["refined_degrees"] > limits.refined_degrees or n["refined_mm"] > limits.refined_mm,
            f"The alignment with the T1w moved by {n['refined_degrees']:.1f}° and "
            f"{n['refined_mm']:.1f} mm while the field was estimated; at most "
            f"{limits.refined_degrees:.1f}° and {limits.refined_mm:.1f} mm are believable.",
        ),
        (
            n["overlap"] < limits.overlap,
            f"Only {n['overlap']:.0%} of the smaller brain mask lies inside the other after "
            f"alignment with the T1w; at least {limits.overlap:.0%} is asked for.",
        ),
    )
    return [sentence for broken, sentence in checks if broken]
