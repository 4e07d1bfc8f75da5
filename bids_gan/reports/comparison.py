"""The field of one diffusion run against that of another run of the session.

A synthetic FA corrects each run on its own, so that the fields of two runs, best of opposite phase
encoding, are two answers to one question.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from bids_gan.bids.outputs import output_path
from bids_gan.distortion.units import mm_per_hz
from bids_gan.geometry import resample
from bids_gan.itk import read_affine

if TYPE_CHECKING:
    from bids_gan.bids.plan import DiffusionRun, SessionPlan


@dataclass(frozen=True)
class FieldDifference:
    """What the fields of two runs differ by.

    Attributes
    ----------
    other : str
        Label of the other run.
    hz : 3D image
        Field of the run minus that of the other, on the grid of the run.
    mm_per_hz : float
        Displacement of the run for each Hz.
    mask : 3D image
        Brain on that grid.
    """

    other: str
    hz: nib.Nifti1Image
    mm_per_hz: float
    mask: nib.Nifti1Image

    @property
    def numbers(self) -> dict[str, float]:
        """Median and 95th percentile in the brain of the absolute difference (mm)."""
        inside = np.asanyarray(self.mask.dataobj) > 0
        mm = np.abs(np.asanyarray(self.hz.dataobj)[inside] * self.mm_per_hz)
        return {
            "field_difference_median_mm": float(np.median(mm)),
            "field_difference_p95_mm": float(np.percentile(mm, 95)),
        }


def compare_fields(
    output_dir: Path, session: SessionPlan, run: DiffusionRun
) -> FieldDifference | None:
    """Difference to the field of another run, brought to this one by way of the T1w.

    Parameters
    ----------
    output_dir : Path
        Derivatives folder.
    session : SessionPlan
    run : DiffusionRun

    Returns
    -------
    FieldDifference or None
        None where there is no other field, or where both come from the same pair of images.
    """
    mine = _field(output_dir, run)
    others = [
        other for other in session.dwi if other != run and "synth" in (run.route, other.route)
    ]
    others.sort(key=lambda other: other.pe_direction == run.pe_direction)  # opposite ones first
    found = [(other, field) for other in others if (field := _field(output_dir, other))]
    if mine is None or not found:
        return None
    other, theirs = found[0]
    to_mine, to_theirs = (
        read_affine(output_dir / output_path("dwi_to_t1w", each.entities)) for each in (run, other)
    )
    field, there = nib.load(mine), nib.load(theirs)
    moved = resample(
        np.asanyarray(there.dataobj),
        there.affine,
        field.shape,
        field.affine,
        target_to_source=to_theirs @ np.linalg.inv(to_mine),
        mode="nearest",
    )
    difference = (np.asanyarray(field.dataobj) - moved).astype(np.float32)
    return FieldDifference(
        other.label,
        nib.Nifti1Image(difference, field.affine),
        mm_per_hz(field.affine, run.pe_direction, run.readout_time),
        nib.load(output_dir / output_path("brain_mask_dwi", run.entities)),
    )


def _field(output_dir: Path, run: DiffusionRun) -> Path | None:
    """Field map of a run, applied or withdrawn."""
    if run.route == "none":
        return None
    keys = ("fieldmap", "fieldmap_rejected")
    paths = (output_dir / output_path(key, run.entities, run.route) for key in keys)
    return next((path for path in paths if path.is_file()), None)
