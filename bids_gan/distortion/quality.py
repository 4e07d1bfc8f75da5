"""No-harm gate: is an estimated field better than no correction?

How well the corrected images agree with their guides says nothing, because that agreement was
optimised and rises under wrong fields too. Judged instead: how much surer the network is of a
displacement along the phase encoding than along another axis, how bent it still sees the head once
T1w and scan are aligned (both in one score, :mod:`bids_gan.distortion.score`), and whether the
field is physical. Told beside it, but without a say: how large an error the network expects,
whether a field found from FA alone improves the b=0 image that it never saw, and the reverse, and
whether both find the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bids_gan.distortion.alignment import LEAST_MM, Alignment, seen
from bids_gan.distortion.estimate import similarity
from bids_gan.distortion.learnt import predict
from bids_gan.distortion.score import calibrated
from bids_gan.distortion.types import FieldEstimate, Guides, Measured
from bids_gan.distortion.units import jacobian
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

if TYPE_CHECKING:
    from torch import nn

#: largest share of brain voxels with a Jacobian below 0.5 in a field from two images, or a
#: measured one; sinuses and ears have some
STEEP_SHARE = 0.1


@dataclass(frozen=True)
class GateThresholds:
    """Limits that hold whatever the score says: beyond them no correction is believable.

    Attributes
    ----------
    steep_share : float
        Largest share of brain voxels with a Jacobian below 0.5.
    displacement_mm : float
        Largest 99th percentile of the absolute displacement in the brain.
    overlap : float
        Least share of the smaller brain mask inside the other.
    expected_share : float
        Largest error that the network may expect, over the variation of the field.
    """

    steep_share: float = 0.03
    displacement_mm: float = 15.0
    overlap: float = 0.8
    expected_share: float = 1.5


def judge(
    measured: Measured,
    guides: Guides,
    alignment: Alignment,
    estimate: FieldEstimate,
    network: nn.Module,
    thresholds: GateThresholds | None = None,
) -> dict:
    """Decide whether a field estimate may be used.

    Parameters
    ----------
    measured, guides
        As given to `estimate_field`.
    alignment : Alignment
    estimate : FieldEstimate
        With what the network expected.
    network : module
        See :func:`bids_gan.distortion.learnt.predict`.
    thresholds : GateThresholds, optional

    Returns
    -------
    dict
        ``accepted`` (bool), ``reasons`` (list of sentences, empty when accepted) and the numbers
        behind them.
    """
    numbers = {
        **_field_numbers(measured, estimate),
        "overlap": alignment.coregistration.overlap,
        **alignment.left,
        **expected_numbers(estimate),
        **axis_numbers(measured, guides, alignment, network),
        **held_out(measured, guides, estimate, network),
    }
    numbers["gate_score"] = calibrated().of(numbers)
    against = reasons(numbers, thresholds)
    return {"accepted": not against, "reasons": against, **numbers}


def held_out(
    measured: Measured, guides: Guides, estimate: FieldEstimate, network: nn.Module
) -> dict[str, float]:
    """What a field from FA alone does to b=0, one from b=0 alone to FA, and how they differ.

    Returns
    -------
    dict
        ``held_out_<image>_before``, ``_after`` and ``_gain`` (local correlation with the guide),
        ``held_out_correlation`` and ``displacement_spread_mm``.

    Notes
    -----
    The error of a mean of two independent estimates has half the standard deviation of their
    difference. So ``displacement_spread_mm``, half the root mean square difference of the two
    fields in the brain, has the size of the error that is to be expected. What both fields share
    is not in it: a shift of the whole head along phase encoding, details that neither resolves.
    """
    pull, inside = estimate.dwi_to_t1w, estimate.mask
    grid = (measured.b0.shape, measured.affine)

    def alike(field):
        return similarity(measured, guides, pull, field)

    before, fields, numbers = alike(np.zeros(measured.b0.shape)), [], {}
    for name, source in (("b0", "fa"), ("fa", "b0")):
        found = predict(measured, guides, pull, network, (source,))
        fields.append(resample(found.mm, found.affine, *grid, antialias=False, mode="nearest"))
        after = alike(fields[-1])[name]
        numbers[f"held_out_{name}_before"] = before[name]
        numbers[f"held_out_{name}_after"] = after
        numbers[f"held_out_{name}_gain"] = after - before[name]
    from_fa, from_b0 = (field[inside] for field in fields)
    return numbers | {
        "held_out_correlation": _correlation(from_fa, from_b0),
        "displacement_spread_mm": float(np.sqrt(np.mean((from_fa - from_b0) ** 2)) / 2),
    }


def axis_numbers(
    measured: Measured, guides: Guides, alignment: Alignment, network: nn.Module
) -> dict[str, float]:
    """What the network sees along the phase encoding, beside looks along the two other axes.

    Parameters
    ----------
    measured, guides, alignment, network
        As of :func:`judge`.

    Returns
    -------
    dict
        ``axis_share``, error that it expects over the variation of the displacement, as a
        multiple of the least along another axis; ``left_bend_mm``, how bent it sees the head,
        mean of the three looks.

    Notes
    -----
    Susceptibility acts along the phase encoding alone. Where images differ for another reason, as
    those of two people do, or where the sidecar names a wrong axis, the network is as sure of a
    displacement along another one.
    """
    phase, _ = pe_axis_sign(measured.pe_direction)
    others = [
        seen(replace(measured, pe_direction=axis), guides, alignment.coregistration, network)
        for number, axis in enumerate("ijk")
        if number != phase
    ]
    least = min(look.expected_share for look in others)
    return {
        "axis_share": alignment.expected_share / least,
        "left_bend_mm": float(np.mean([look.bend_mm for look in (alignment, *others)])),
    }


def _field_numbers(measured: Measured, estimate: FieldEstimate) -> dict[str, float]:
    axis, _ = pe_axis_sign(measured.pe_direction)
    voxels = estimate.displacement_mm / voxel_sizes(measured.affine)[axis]
    return field_numbers(voxels, measured.affine, axis, estimate.mask)


def expected_numbers(estimate: FieldEstimate) -> dict[str, float]:
    """How sure the network was, and how far the images led away from what it expected.

    Returns
    -------
    dict
        ``expected_error_mm``, root mean square in the brain of the standard deviation that it
        predicts; ``expected_share``, that over the standard deviation of the field (a constant
        may be a move of the head, and does no harm); ``refined_field``, root mean square of the
        field's difference from what was expected, in units of the standard deviation.
    """
    inside, expected = estimate.mask, estimate.expected
    field, mean, sigma = (
        m[inside] for m in (estimate.displacement_mm, expected.mm, expected.sigma_mm)
    )
    error = _rms(sigma)
    return {
        "expected_error_mm": error,
        "expected_share": error / max(float(field.std()), LEAST_MM),
        "refined_field": _rms((field - mean) / np.maximum(sigma, LEAST_MM)),
    }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two fields; zero where one of them is the same everywhere."""
    return float(np.corrcoef(a, b)[0, 1]) if a.std() and b.std() else 0.0


def field_numbers(
    shift: np.ndarray, affine: np.ndarray, axis: int, mask: np.ndarray
) -> dict[str, float]:
    """Jacobian and size in the brain of a voxel shift (I, J, K) along an array axis."""
    inside = jacobian(shift, axis)[mask]
    signed = shift[mask] * voxel_sizes(affine)[axis]
    displacement = np.abs(signed)
    return {
        "jacobian_min": float(inside.min()),
        "jacobian_steep_share": float((inside < 0.5).mean()),
        "displacement_median_mm": float(np.median(displacement)),
        "displacement_p95_mm": float(np.percentile(displacement, 95)),
        "displacement_p99_mm": float(np.percentile(displacement, 99)),
        "displacement_deviation_mm": float(signed.std()),
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
            n["overlap"] < limits.overlap,
            f"Only {n['overlap']:.0%} of the smaller brain mask lies inside the other after "
            f"alignment with the T1w; at least {limits.overlap:.0%} is asked for.",
        ),
        (
            not n["expected_share"] <= limits.expected_share,
            f"The network expects an error of {n['expected_share']:.2f} times the variation of "
            f"the field; at most {limits.expected_share:.2f} is believable.",
        ),
    )
    return [sentence for broken, sentence in checks if broken]
