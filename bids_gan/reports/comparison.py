"""The field of one diffusion run against another: of what was acquired beside, or of another run.

Where a field map was measured, or an image of opposite phase encoding exists, and the run is
corrected otherwise, that field is the judge. Else the synthetic FA has corrected each run on its
own, so that the fields of two runs, best of opposite phase encoding, are two answers to one
question.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from bids_gan.bids.outputs import output_path
from bids_gan.distortion.units import mm_per_hz
from bids_gan.geometry import resample
from bids_gan.itk import read_affine
from bids_gan.reports.numbers import format_value
from bids_gan.reports.outcome import sidecar_of
from bids_gan.text import read_json

if TYPE_CHECKING:
    from bids_gan.bids.plan import DiffusionRun, SessionPlan


@dataclass(frozen=True)
class FieldDifference:
    """What the field of a run and another differ by.

    Attributes
    ----------
    other : str
        Where the other is from, in words.
    hz : 3D image
        Field of the run minus the other, on the grid of the run.
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
    def record(self) -> dict[str, Any]:
        """What is kept of it: ``other``, and of the absolute difference in the brain (mm) the
        median and the 95th percentile.
        """
        inside = np.asanyarray(self.mask.dataobj) > 0
        mm = np.abs(np.asanyarray(self.hz.dataobj)[inside] * self.mm_per_hz)
        return {
            "other": self.other,
            "field_difference_median_mm": float(np.median(mm)),
            "field_difference_p95_mm": float(np.percentile(mm, 95)),
        }


def compare_fields(
    output_dir: Path, session: SessionPlan, run: DiffusionRun
) -> FieldDifference | None:
    """Difference to another field, in the position that the head had in the run.

    Parameters
    ----------
    output_dir : Path
        Derivatives folder.
    session : SessionPlan
    run : DiffusionRun

    Returns
    -------
    FieldDifference or None
        None where there is no other field, or where both come from the same images.
    """
    mine = _field(output_dir, run)
    if mine is None:
        return None
    field = nib.load(mine)
    found = _acquired(output_dir, run) or _of_another_run(output_dir, session, run, field)
    if found is None:
        return None
    other, values = found
    difference = (np.asanyarray(field.dataobj) - values).astype(np.float32)
    return FieldDifference(
        other,
        nib.Nifti1Image(difference, field.affine),
        mm_per_hz(field.affine, run.pe_direction, run.readout_time),
        nib.load(output_dir / output_path("brain_mask_dwi", run.entities)),
    )


def read_difference(output_dir: Path, run: DiffusionRun) -> dict[str, Any]:
    """The kept record (`FieldDifference.record`) of a run; empty where it was not compared."""
    return read_json(output_dir / output_path("field_difference", run.entities)) or {}


def why_unchecked(output_dir: Path, run: DiffusionRun) -> str:
    """Why a run is not compared with what else was acquired; empty if nothing is wrong."""
    check = (read_json(sidecar_of(output_dir, "dwi", run.entities)) or {}).get("SDCCheck", {})
    if run.correction.check is None or check.get("accepted") is not False:
        return ""
    reasons = format_value(check.get("reasons"), missing="no reason recorded")
    return f"The field of {run.correction.check.origin} is not believable: {reasons}"


def _acquired(output_dir: Path, run: DiffusionRun) -> tuple[str, np.ndarray] | None:
    """Field of what was acquired and not used, already on the grid of the run."""
    check = run.correction.check
    if check is None:
        return None
    path = output_dir / output_path("fieldmap_check", run.entities, check.name)
    if not path.is_file():
        return None
    return check.origin, np.asanyarray(nib.load(path).dataobj)


def _of_another_run(
    output_dir: Path, session: SessionPlan, run: DiffusionRun, field: nib.Nifti1Image
) -> tuple[str, np.ndarray] | None:
    """Field of another run, brought to this one by way of the T1w."""
    others = [
        other for other in session.dwi if other != run and "synth" in (run.route, other.route)
    ]
    others.sort(key=lambda other: other.pe_direction == run.pe_direction)  # opposite ones first
    found = [(other, path) for other in others if (path := _field(output_dir, other))]
    if not found:
        return None
    other, theirs = found[0]
    to_mine, to_theirs = (
        read_affine(output_dir / output_path("dwi_to_t1w", each.entities)) for each in (run, other)
    )
    there = nib.load(theirs)
    moved = resample(
        np.asanyarray(there.dataobj),
        there.affine,
        field.shape,
        field.affine,
        target_to_source=to_theirs @ np.linalg.inv(to_mine),
        mode="nearest",
    )
    return other.label, moved


def _field(output_dir: Path, run: DiffusionRun) -> Path | None:
    """Field map of a run, applied or withdrawn."""
    if run.route == "none":
        return None
    keys = ("fieldmap", "fieldmap_rejected")
    paths = (output_dir / output_path(key, run.entities, run.route) for key in keys)
    return next((path for path in paths if path.is_file()), None)
