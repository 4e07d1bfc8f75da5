"""The graph of one session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nipype import Workflow

    from bids_gan.bids.plan import SessionPlan
    from bids_gan.settings import Settings


def init_session_wf(session: SessionPlan, settings: Settings) -> Workflow:
    """Synthesis from the T1w of a session, then each of its diffusion runs.

    Parameters
    ----------
    session : SessionPlan
        With a T1w.
    settings : Settings

    Returns
    -------
    Workflow
        Named ``session.workflow_name``.
    """
    import nipype.pipeline.engine as pe
    from nipype.interfaces.utility import Merge

    from bids_gan.interfaces.derivatives import SaveFieldDifferences, SaveViewer
    from bids_gan.workflows.anatomical import init_anatomical_wf
    from bids_gan.workflows.diffusion import init_diffusion_wf

    workflow = pe.Workflow(name=session.workflow_name)
    anatomical = init_anatomical_wf(session, settings)
    workflow.add_nodes([anatomical])
    given = [(f"outputnode.{f}", f"inputnode.{f}") for f in ("anatomy", "image", "record")]
    saved = [(anatomical, "save_anatomy.saved")]
    saved += [(anatomical, f"save_{target.lower()}.saved") for target in settings.synthesised]
    for run in session.dwi:
        name = f"{re.sub('[^0-9a-zA-Z]', '_', run.label)}_wf"
        diffusion = init_diffusion_wf(run, session, settings, name=name)
        # a list of its own: Nipype takes edges out of it
        workflow.connect([(anatomical, diffusion, list(given))])
        saved.append((diffusion, "save_diffusion.saved"))
    collect = pe.Node(Merge(len(saved)), name="collect_saved", run_without_submitting=True)
    view = pe.Node(SaveViewer(settings=settings, session=session), name="save_viewer", mem_gb=1.0)
    for n, (part, output) in enumerate(saved, start=1):
        workflow.connect(part, output, collect, f"in{n}")
    workflow.connect(collect, "out", view, "saved")
    if session.dwi:  # even a single run: what an earlier one compared it with may be gone
        compare = pe.Node(
            SaveFieldDifferences(settings=settings, session=session),
            name="draw_field_differences",
            mem_gb=1.0,
        )
        workflow.connect(collect, "out", compare, "saved")
    return workflow
