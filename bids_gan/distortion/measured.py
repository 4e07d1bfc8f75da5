"""Correct with a field that was measured: where the head was, how it fits the images."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from bids_gan.diffusion.multimodal import mutual_information_rigid
from bids_gan.distortion.coregister import Brain, moved
from bids_gan.distortion.correct import RunImages, agreement, align
from bids_gan.distortion.guides import correct_bias
from bids_gan.distortion.measurement import Field, Measurement, clean_field
from bids_gan.distortion.quality import STEEP_SHARE, field_numbers
from bids_gan.distortion.units import hz_to_voxels
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

#: shrink factors and blurs of the registration, mm
_SHRINK_MM, _REGISTRATION_BLUR_MM, _ITERATIONS = (8, 4, 2), (4, 2, 1), (1000, 500, 500)
#: a larger move is a failed registration
_FARTHEST_DEGREES, _FARTHEST_MM = 15.0, 40.0
#: least share of brain in a voxel of the field map: the rest may be fat, of another resonance
INSIDE = 0.9
#: least share of the brain in which the field was measured
LEAST_SHARE = 0.5
#: greatest loss of agreement with the T1w that is no proof of a wrong field
TOLERATED_LOSS = 0.005


def align_head(measurement: Measurement, anatomy: Brain) -> np.ndarray:
    """Where the head was while the field was measured.

    Parameters
    ----------
    measurement : Measurement
    anatomy : Brain
        Bias-corrected T1w.

    Returns
    -------
    (4, 4) array
        Pull matrix from the world of the field map to that of the T1w; identity unless the head
        clearly moved (:func:`clear_move`).
    """
    grid = (measurement.magnitude.shape, measurement.affine)
    brain = resample(anatomy.mask.astype(np.float32), anatomy.affine, *grid) > 0.5
    if not measurement.magnitude[brain].any():
        return np.eye(4)
    voxel = float(voxel_sizes(measurement.affine).mean())
    there = anatomy.coarse(2.0)
    matrix = mutual_information_rigid(
        correct_bias(measurement.magnitude, brain, measurement.affine),
        measurement.affine,
        there.image,
        there.affine,
        fixed_mask=brain,
        shrink=tuple(max(1, round(mm / voxel)) for mm in _SHRINK_MM),
        smoothing=tuple(round(mm / voxel, 2) for mm in _REGISTRATION_BLUR_MM),
        iterations=_ITERATIONS,
    )
    return clear_move(matrix, brain, measurement.affine)


def clear_move(matrix: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """A rigid move, or none where it is too small to be told from an error of registration.

    Scans of one session share the scanner's coordinates, and a gradient echo of coarse voxels
    and little contrast is registered with an error of millimetres, which would move the field to
    where it is not.

    Parameters
    ----------
    matrix : (4, 4) array
    brain : (I, J, K) bool array
        On the grid of the field map.
    affine : (4, 4) array
        Voxel to world (mm) of that grid.

    Returns
    -------
    (4, 4) array
        `matrix` where it moves the brain by a voxel of the field map on average, and not farther
        than a head can go in a coil; else identity.
    """
    points = nib.affines.apply_affine(affine, np.argwhere(brain))
    distance = np.linalg.norm(nib.affines.apply_affine(matrix, points) - points, axis=1).mean()
    degrees, mm = moved(matrix, points.mean(axis=0))
    clear = distance > voxel_sizes(affine).max()
    return matrix if clear and degrees < _FARTHEST_DEGREES and mm < _FARTHEST_MM else np.eye(4)


@dataclass(frozen=True)
class MeasuredCorrection:
    """Result of :func:`correct_by_measurement`.

    Attributes
    ----------
    hz : (I, J, K) float32 array
        Field on the diffusion grid.
    dwi_to_t1w : (4, 4) array
        Pull matrix from diffusion world to T1w world.
    quality : dict
        ``accepted``, ``reasons`` and the numbers behind them.
    """

    hz: np.ndarray
    dwi_to_t1w: np.ndarray
    quality: dict


def correct_by_measurement(
    measurement: Measurement, images: RunImages, pe_direction: str, readout_time: float
) -> MeasuredCorrection:
    """Bring a measured field to the diffusion images, and judge it.

    Parameters
    ----------
    measurement : Measurement
    images : RunImages
    pe_direction, readout_time
        BIDS ``PhaseEncodingDirection`` and ``TotalReadoutTime`` in seconds.

    Notes
    -----
    The field moves with the head, whose position in both scans is found by way of the T1w, the
    diffusion images being corrected first with the field where the headers place it.
    """
    mask = np.asarray(images.brain_mask.dataobj) > 0
    anatomy = Brain(np.asarray(images.t1w.dataobj, np.float32), mask, images.t1w.affine)
    to_t1w = align_head(measurement, anatomy)
    grid = (measurement.magnitude.shape, measurement.affine)
    share = resample(mask.astype(np.float32), anatomy.affine, *grid, target_to_source=to_t1w)
    brain = share > INSIDE
    field = clean_field(measurement, brain)
    back = np.linalg.inv(to_t1w)
    by_headers = field.on_grid(images.b0, back)
    pull = align(images.corrected(by_headers, pe_direction, readout_time))
    to_field = clear_move(back @ pull, brain, measurement.affine)
    hz = field.on_grid(images.b0, to_field)
    numbers = _numbers(field, hz, to_field, pull, images, pe_direction, readout_time)
    reasons = _reasons(numbers)
    return MeasuredCorrection(hz, pull, {"accepted": not reasons, "reasons": reasons, **numbers})


def _numbers(
    field: Field, hz, to_field, pull, images: RunImages, pe_direction, readout_time
) -> dict[str, float]:
    inside = images.brain_on_b0(pull)
    axis, _ = pe_axis_sign(pe_direction)
    shift = hz_to_voxels(hz, pe_direction, readout_time)
    centre = nib.affines.apply_affine(images.b0.affine, np.argwhere(inside).mean(axis=0))
    degrees, mm = moved(to_field, centre)
    known = field.known_on_grid(images.b0, to_field)
    found = agreement(images, hz, pull, pe_direction, readout_time)
    return {
        "measured_share": float(known[inside].mean()),
        "measured_rotation_deg": degrees,
        "measured_translation_mm": mm,
        **{f"measured_{name}": value for name, value in found.items()},
        **field_numbers(shift, images.b0.affine, axis, inside),
    }


def _reasons(numbers: dict[str, float]) -> list[str]:
    """Sentences for every limit that is broken."""
    gains = [numbers[f"measured_{name}_gain"] for name in ("b0", "fa")]
    checks = (
        (
            numbers["measured_share"] < LEAST_SHARE,
            f"The field was measured in {numbers['measured_share']:.0%} of the brain; at least "
            f"{LEAST_SHARE:.0%} is asked for.",
        ),
        (
            numbers["jacobian_steep_share"] > STEEP_SHARE,
            f"{numbers['jacobian_steep_share']:.1%} of the brain is compressed to less than half "
            f"its width; at most {STEEP_SHARE:.1%} is believable.",
        ),
        (
            max(gains) < -TOLERATED_LOSS,
            f"Both the b=0 image ({gains[0]:+.3f}) and FA ({gains[1]:+.3f}) agree less with the "
            "T1w under the measured field: its sign, its units or the echo times may be wrong, or "
            "it belongs to another scan.",
        ),
    )
    return [sentence for broken, sentence in checks if broken]
