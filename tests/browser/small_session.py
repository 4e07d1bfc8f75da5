"""Derivatives of one small session with one diffusion run, as a run would have left them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.bids.outputs import output_path, write_json
from bids_gan.bids.plan import DiffusionRun, Plan, SessionPlan, T1wChoice
from bids_gan.bids.route import Route
from bids_gan.itk import write_affine
from bids_gan.reports.figures import FA_LIMITS, plot_before_after
from bids_gan.reports.outcome import sidecar_of
from bids_gan.settings import Settings

PERSON = {"subject": "01"}
RUN = {"subject": "01", "direction": "AP"}
SHAPE = (40, 48, 36)


def _ball(centre: tuple[int, int, int]) -> np.ndarray:
    """A bright ball on nothing."""
    away = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return np.maximum(0, 1 - np.sqrt((away**2).sum(0)) / 12).astype(np.float32)


def make_session(folder: Path) -> tuple[Settings, Plan]:
    """A ball as T1w and FA after correction, one farther back as FA before, voxels of 4 mm."""
    settings = Settings(
        bids_dir=folder / "raw", output_dir=folder / "out", work_dir=folder / "work"
    )
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -2 * np.array(SHAPE)
    middle, back = _ball((20, 24, 18)), _ball((20, 16, 18))

    def save(key, entities, data):
        path = settings.output_dir / output_path(key, entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nib.Nifti1Image(data, affine)
        nib.save(image, path)
        write_json(sidecar_of(settings.output_dir, key, entities), {"Model": "small"})
        return image

    mask = save("brain_mask_t1w", PERSON, (middle > 0).astype(np.uint8))
    save("synth_fa", PERSON, middle * 0.6)
    before = save("fa_uncorrected", RUN, back * 0.6)
    after = save("fa", RUN, middle * 0.6)
    save("dwiref_uncorrected", RUN, back * 700)
    save("dwiref", RUN, middle * 900)
    save("fieldmap", RUN, 80 * (middle - back))
    quality = {"SDCQuality": {"accepted": True, "reasons": [], "overlap": 0.95}}
    write_json(sidecar_of(settings.output_dir, "dwi", RUN), quality)
    write_affine(np.eye(4), settings.output_dir / output_path("dwi_to_t1w", RUN))
    figure = output_path("figure_run", RUN, what="sdcFA", suffix="dwi")
    figure = settings.output_dir / figure
    plot_before_after(
        before, after, mask, mask, figure, names=("FA before", "FA after"), limits=FA_LIMITS
    )
    t1w = settings.bids_dir / "sub-01_T1w.nii.gz"
    t1w.parent.mkdir()
    nib.save(nib.Nifti1Image(middle * 900, affine), t1w)
    dwi = settings.bids_dir / "sub-01_dir-AP_dwi.nii.gz"
    route = Route("synth", "asked")
    run = DiffusionRun(dwi, dwi, dwi, None, RUN, "j-", "its file", 0.05, "its file", route)
    session = SessionPlan("01", None, T1wChoice(t1w, "the only one"), (run,))
    return settings, Plan(settings.bids_dir, (session,))
