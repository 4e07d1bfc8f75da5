"""Correct a run by an image of opposite phase encoding, and judge the field."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from bids_gan.distortion.coregister import moved
from bids_gan.distortion.opposite import PairSettings, Recorded, estimate_from_pair
from bids_gan.distortion.quality import STEEP_SHARE, field_numbers
from bids_gan.distortion.types import FieldPrior
from bids_gan.distortion.units import hz_to_voxels
from bids_gan.distortion.unwarp import correct_series
from bids_gan.geometry import pe_axis_sign


@dataclass(frozen=True)
class PairCorrection:
    """Result of :func:`correct_by_pair`.

    Attributes
    ----------
    hz : (I, J, K) float32 array
        Field on the grid of the first image.
    corrected : 3D image
        First image, corrected.
    quality : dict
        ``accepted``, ``reasons`` and the numbers behind them.
    """

    hz: np.ndarray
    corrected: nib.Nifti1Image
    quality: dict


def correct_by_pair(
    first: Recorded,
    second: Recorded,
    mask: np.ndarray,
    prior: FieldPrior | None = None,
    settings: PairSettings | None = None,
) -> PairCorrection:
    """Estimate a field from two images of opposite phase encoding, and judge it.

    Parameters
    ----------
    first, second, prior, settings
        See :func:`bids_gan.distortion.opposite.estimate_from_pair`.
    mask : (I, J, K) array
        Brain of the first image.

    Returns
    -------
    PairCorrection
        Accepted when the images agree better with the field than without, and when it is not
        steeper than a field can be.
    """
    found = estimate_from_pair(first, second, settings, prior)
    axis, _ = pe_axis_sign(first.pe_direction)
    shift = hz_to_voxels(found.hz, first.pe_direction, first.readout_time)
    inside = np.asarray(mask) > 0
    middle = nib.affines.apply_affine(first.image.affine, np.argwhere(inside).mean(axis=0))
    degrees, mm = moved(found.motion, middle)
    numbers = {
        "pair_disagreement_before": found.disagreement_before,
        "pair_disagreement_after": found.disagreement,
        "pair_rotation_deg": degrees,
        "pair_translation_mm": mm,
        **field_numbers(shift, first.image.affine, axis, inside),
    }
    reasons = []
    if found.disagreement >= found.disagreement_before:
        reasons.append(
            "The images of opposite phase encoding differ as much with the field as without: "
            f"{found.disagreement:.3f} of their variance, {found.disagreement_before:.3f} before."
        )
    if numbers["jacobian_steep_share"] > STEEP_SHARE:
        reasons.append(
            f"{numbers['jacobian_steep_share']:.1%} of the brain is compressed to less than half "
            f"its width; at most {STEEP_SHARE:.1%} is believable."
        )
    return PairCorrection(
        hz=found.hz,
        corrected=correct_series(first.image, found.hz, first.pe_direction, first.readout_time),
        quality={"accepted": not reasons, "reasons": reasons, **numbers},
    )
