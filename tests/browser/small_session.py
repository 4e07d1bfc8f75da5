"""Derivatives of one small session with two diffusion runs, as a run would have left them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_gan.bids.outputs import output_path, write_json
from bids_gan.bids.plan import DiffusionRun, Plan, SessionPlan, T1wChoice
from bids_gan.bids.route import Route
from bids_gan.itk import write_affine
from bids_gan.reports import figures
from bids_gan.reports.gradients import plot_gradients
from bids_gan.reports.numbers import known_numbers
from bids_gan.reports.outcome import sidecar_of
from bids_gan.settings import Settings

PERSON = {"subject": "01"}
#: phase-encoding direction -> whether the gate accepted the correction
RUNS = {"AP": True, "PA": False}
SHAPE = (40, 48, 36)
AFFINE = nib.affines.from_matvec(np.diag([4.0, 4, 4]), -2 * np.array(SHAPE))
READOUT_TIME = 0.05
MM_PER_HZ = 4 * READOUT_TIME
VOLUMES = 14


def make_session(folder: Path) -> tuple[Settings, Plan]:
    """A ball as T1w and FA after correction, one farther back as FA before, voxels of 4 mm.

    The correction of the second run was withdrawn, and one of its steps has crashed.
    """
    settings = Settings(
        bids_dir=folder / "raw", output_dir=folder / "out", work_dir=folder / "work"
    )
    ball = _ball((20, 24, 18))
    t1w = settings.bids_dir / "sub-01_T1w.nii.gz"
    t1w.parent.mkdir()
    nib.save(nib.Nifti1Image(ball * 900, AFFINE), t1w)
    _save(settings, "brain_mask_t1w", PERSON, (ball > 0).astype(np.uint8))
    _save(settings, "synth_fa", PERSON, ball * 0.6)
    _draw_session(settings)
    runs = tuple(_make_run(settings, *run) for run in RUNS.items())
    crash = settings.log_dir / "crash-20260101-somebody-fit.txt"
    crash.parent.mkdir(parents=True)
    crash.write_text(f"Node: bids_gan_wf.sub_01_wf.sdc_wf.fit\n\nValueError: {'long_' * 60}\n")
    session = SessionPlan("01", None, T1wChoice(t1w, "the only one"), runs)
    return settings, Plan(settings.bids_dir, (session,))


def _make_run(settings: Settings, direction: str, accepted: bool) -> DiffusionRun:
    """Images, sidecar, figures and plan of one run."""
    entities = PERSON | {"direction": direction}
    save = partial(_save, settings, entities=entities)
    middle, back = _ball((20, 24, 18)), _ball((20, 16, 18))
    field = (80 if accepted else 50) * (middle - back)
    for key, data in {
        "brain_mask_dwi": (middle > 0).astype(np.uint8),
        "fa_uncorrected": back * 0.6,
        "fa": middle * 0.6,
        "dwiref_uncorrected": back * 700,
        "dwiref": middle * 900,
        "fieldmap" if accepted else "fieldmap_rejected": field,
    }.items():
        save(key, data=data)
    quality = dict.fromkeys(known_numbers(), 0.95)
    quality |= {"accepted": accepted, "reasons": [] if accepted else ["no gain of agreement."]}
    write_json(sidecar_of(settings.output_dir, "dwi", entities), {"SDCQuality": quality})
    write_affine(np.eye(4), settings.output_dir / output_path("dwi_to_t1w", entities))
    _draw_run(settings, entities, field)
    dwi = settings.bids_dir / f"sub-01_dir-{direction}_dwi.nii.gz"
    pe_direction = {"AP": "j-", "PA": "j"}[direction]
    route = Route("synth", "asked")
    return DiffusionRun(
        dwi, dwi, dwi, None, entities, pe_direction, "its file", READOUT_TIME, "its file", route
    )


def _draw_session(settings: Settings) -> None:
    ball = _ball((20, 24, 18))
    t1w, mask, half = _image(ball * 900), _image(ball > 0), _image(ball * 0.6)
    labels = _image(np.digitize(ball, [0.01, 0.2, 0.5, 0.8]))
    path = partial(_figure, settings, "figure_session", PERSON)
    figures.plot_anatomy(t1w, mask, labels, half, path("anatomy", "T1w"))
    figures.plot_synthesis(t1w, half, half, mask, path("synth", "FA"), target="FA")


def _draw_run(settings: Settings, entities: dict[str, str], field: np.ndarray) -> None:
    def path(what: str) -> Path:
        return _figure(settings, "figure_run", entities, what, "dwi")

    middle, back = _ball((20, 24, 18)), _ball((20, 16, 18))
    mask, synth_fa = _image(middle > 0), _image(middle * 0.6)
    red_to_blue = np.array([0.8, 0.4, 0.2])
    for what, scale, limits in (
        ("b0", 900, None),
        ("FA", 0.6, figures.FA_LIMITS),
        ("colour", red_to_blue, None),
    ):
        before, after = (_image(np.multiply.outer(data, scale)) for data in (back, middle))
        names, out_file = (f"{what} before", f"{what} after"), path(f"sdc{what}")
        figures.plot_before_after(
            before, after, synth_fa, mask, out_file, names=names, limits=limits
        )
    draw_field = partial(figures.plot_field, background=_image(middle * 900), brain_mask=mask)
    shift, other = MM_PER_HZ * field, "field minus that of another"
    images = {"field_hz": _image(field), "mm_per_hz": MM_PER_HZ}
    draw_field(**images, out_file=path("fieldmap"), std_hz=_image(middle * 4))
    draw_field(**images, out_file=path("fielddifference"), name=other)
    figures.plot_displacement(_image(shift), mask, path("displacement"))
    matrices = np.tile(np.eye(4), (VOLUMES, 1, 1))
    matrices[:, 1, 3] = np.linspace(0, 2, VOLUMES)
    fd = np.array([np.nan, *np.diff(matrices[:, 1, 3])])
    figures.plot_motion(matrices, fd, path("motion"))
    directions = np.random.default_rng(0).normal(size=(VOLUMES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions[0] = 0
    bvals = np.where(np.arange(VOLUMES) > 0, 1000.0, 0)
    plot_gradients(bvals, directions, path("gradients"))


def _ball(centre: tuple[int, int, int]) -> np.ndarray:
    """A bright ball on nothing."""
    away = np.indices(SHAPE) - np.reshape(centre, (3, 1, 1, 1))
    return np.maximum(0, 1 - np.sqrt((away**2).sum(0)) / 12).astype(np.float32)


def _image(data: np.ndarray) -> nib.Nifti1Image:
    return nib.Nifti1Image(data.astype(np.float32), AFFINE)


def _figure(
    settings: Settings, key: str, entities: dict[str, str], what: str, suffix: str
) -> Path:
    return settings.output_dir / output_path(key, entities, what=what, suffix=suffix)


def _save(settings: Settings, key: str, entities: dict[str, str], data: np.ndarray) -> None:
    """An image of the derivatives, with a sidecar."""
    path = settings.output_dir / output_path(key, entities)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    write_json(sidecar_of(settings.output_dir, key, entities), {"Model": "small"})
