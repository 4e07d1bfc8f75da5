"""One diffusion run: motion, distortion, tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nipype import Workflow

    from bids_gan.bids.plan import DiffusionRun, SessionPlan
    from bids_gan.settings import Settings


def init_diffusion_wf(
    run: DiffusionRun, session: SessionPlan, settings: Settings, *, name: str
) -> Workflow:
    """Correct one diffusion run for head motion and distortion.

    Parameters
    ----------
    run : DiffusionRun
    session : SessionPlan
    settings : Settings
    name : str

    Inputs
    ------
    anatomy, image, record
        See `bids_gan.workflows.anatomical.init_anatomical_wf`.
    """
    import nipype.pipeline.engine as pe
    from nipype.interfaces.utility import IdentityInterface

    from bids_gan.interfaces.derivatives import SaveRun
    from bids_gan.interfaces.diffusion import (
        ApplyCorrection,
        CheckField,
        EstimateCorrection,
        PrepareDiffusion,
    )
    from bids_gan.interfaces.figures import DrawRun
    from bids_gan.workflows.memory import step_memory

    workflow = pe.Workflow(name=name)
    threads = settings.omp_nthreads
    files = {"dwi": str(run.path), "bval": str(run.bval), "bvec": str(run.bvec)}
    scan = {"pe_direction": run.pe_direction, "readout_time": run.readout_time}
    inputnode = pe.Node(IdentityInterface(["anatomy", "image", "record"]), name="inputnode")
    prepare = pe.Node(
        PrepareDiffusion(**files),
        name="prepare_diffusion",
        n_procs=threads,
        mem_gb=step_memory("prepare_diffusion", run.path),
    )
    estimate = pe.Node(
        EstimateCorrection(correction=run.correction, **scan),
        name="estimate_distortion",
        n_procs=threads,
        mem_gb=1.5,
    )
    apply = pe.Node(
        ApplyCorrection(t1w=str(session.t1w.path), **files, **scan),
        name="apply_correction",
        mem_gb=step_memory("apply_correction", run.path),
    )
    draw = pe.Node(DrawRun(route=run.route, **scan), name="draw_diffusion", mem_gb=1.0)
    save = pe.Node(
        SaveRun(settings=settings, session=session, run=run),
        name="save_diffusion",
        mem_gb=step_memory("save_diffusion", run.path),
    )
    applied = ("dwi", "bval", "bvec", "fa", "s0", "fa_t1w", "dwiref", "brain_mask", "synth_fa",
               "piled_up", "orig_to_dwi", "xfm")  # fmt: skip
    drawn = ("dwiref", "fa", "color", "bval", "bvec", "synth_fa", "brain_mask")
    workflow.connect([
        (inputnode, estimate, [("anatomy", "anatomy"), ("image", "synthetic_fa")]),
        (prepare, estimate, [("reference", "reference"), ("fa", "fa")]),
        (inputnode, apply, [("anatomy", "anatomy"), ("image", "synthetic_fa")]),
        (prepare, apply, [("motion", "motion")]),
        (estimate, apply, [(f, f) for f in ("field", "dwi_to_t1w", "quality")]),
        (prepare, draw, [("reference", "reference"), ("fa", "fa_uncorrected")]),
        (prepare, draw, [("color", "color_uncorrected"), ("motion", "motion")]),
        (estimate, draw, [(f, f) for f in ("field", "field_std", "quality")]),
        (apply, draw, [(f, f) for f in drawn]),
        (inputnode, save, [("record", "record")]),
        (prepare, save, [("fa", "fa_uncorrected"), ("motion", "motion")]),
        (prepare, save, [("reference", "reference")]),
        (estimate, save, [(f, f) for f in ("field", "field_std", "quality")]),
        (apply, save, [(f, f) for f in applied]),
        (draw, save, [("figures", "figures")]),
    ])  # fmt: skip
    if run.correction.check:
        check = pe.Node(
            CheckField(correction=run.correction.check, **scan),
            name="check_field",
            n_procs=threads,
            mem_gb=1.5,
        )
        workflow.connect([
            (inputnode, check, [("anatomy", "anatomy"), ("image", "synthetic_fa")]),
            (prepare, check, [("reference", "reference"), ("fa", "fa")]),
            (check, save, [("field", "check_field"), ("quality", "check_quality")]),
        ])  # fmt: skip
    return workflow
