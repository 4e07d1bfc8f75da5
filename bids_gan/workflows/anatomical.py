"""From the T1w to the synthetic image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nipype import Workflow

    from bids_gan.bids.plan import SessionPlan
    from bids_gan.settings import Settings


def init_anatomical_wf(
    session: SessionPlan, settings: Settings, *, name: str = "anatomical_wf"
) -> Workflow:
    """Prepare the T1w of a session and synthesise FA, and what else is asked for, from it.

    Parameters
    ----------
    session : SessionPlan
        With a T1w.
    settings : Settings
    name : str

    Outputs
    -------
    anatomy
        Prepared anatomy, see `bids_gan.anatomy.storage`.
    image
        Synthetic FA on the generator's 1 mm grid.
    record
        JSON: which model, on which device, with what numbers.
    """
    import nipype.pipeline.engine as pe
    from nipype.interfaces.utility import IdentityInterface

    from bids_gan.interfaces.anatomical import PrepareAnatomy, Synthesise
    from bids_gan.interfaces.derivatives import SaveSession, SaveSynthetic
    from bids_gan.interfaces.figures import DrawAnatomy, DrawSynthesis
    from bids_gan.models.registry import card_for_target, find_card

    workflow = pe.Workflow(name=name)
    threads = settings.omp_nthreads
    t1w = str(session.t1w.path)
    prepare = pe.Node(
        PrepareAnatomy(t1w=t1w, model=str(find_card("anatomy").path)),
        name="prepare_anatomy",
        n_procs=threads,
        mem_gb=2.0,
    )
    if session.brain_mask:
        prepare.inputs.brain_mask = str(session.brain_mask)
    draw = pe.Node(DrawAnatomy(), name="draw_anatomy", mem_gb=1.0)
    save = pe.Node(
        SaveSession(settings=settings, session=session), name="save_anatomy", mem_gb=0.5
    )
    outputnode = pe.Node(IdentityInterface(["anatomy", "image", "record"]), name="outputnode")
    workflow.connect([
        (prepare, draw, [(f, f) for f in ("t1w", "brain_mask", "structures", "white")]),
        (prepare, save, [("brain_mask", "brain_mask"), ("structures", "structures")]),
        (draw, save, [("figures", "figures")]),
        (prepare, outputnode, [("anatomy", "anatomy")]),
    ])  # fmt: skip
    for target in settings.synthesised:
        generator = card_for_target(target, settings.model)
        synthesise = pe.Node(
            Synthesise(t1w=t1w, model=str(generator.path), device=settings.device),
            name=f"synthesise_{target.lower()}",
            n_procs=threads,
            mem_gb=1.5,
        )
        keep = pe.Node(
            SaveSynthetic(settings=settings, session=session, target=target),
            name=f"save_{target.lower()}",
            mem_gb=0.5,
        )
        draw = pe.Node(DrawSynthesis(target=target), name=f"draw_{target.lower()}", mem_gb=1.0)
        images = [("image_t1w", "image"), ("std_t1w", "std")]
        workflow.connect([
            (prepare, synthesise, [("anatomy", "anatomy")]),
            (prepare, draw, [("t1w", "t1w"), ("brain_mask", "brain_mask")]),
            (synthesise, draw, images),
            (synthesise, keep, [*images, ("record", "record")]),
            (draw, keep, [("figures", "figures")]),
        ])  # fmt: skip
        if target == "FA":
            given = [("image", "image"), ("record", "record")]
            workflow.connect([(synthesise, outputnode, given)])
    return workflow
