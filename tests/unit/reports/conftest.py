"""A small derivatives folder: two people, one of them refused, with the sidecars of two runs."""

from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import pytest

from bids_gan.bids.outputs import output_path
from bids_gan.bids.plan import DiffusionRun, Plan, SessionPlan, T1wChoice
from bids_gan.bids.route import Route
from bids_gan.settings import Settings

QUALITY = {
    "accepted": True,
    "reasons": [],
    "displacement_p99_mm": 5.2213,
    "jacobian_min": 0.21,
    "brand_new_number": 3,
}
HOSTILE = "<script>alert('x')</script> & \"more\""


def make_run(bids_dir, direction, *, subject="01", session=None, route="synth", reason="asked"):
    """A diffusion run of the plan; the files need not exist."""
    entities = {"subject": subject, "direction": direction}
    if session:
        entities = {"subject": subject, "session": session, "direction": direction}
    path = bids_dir / f"sub-{subject}" / "dwi" / f"sub-{subject}_dir-{direction}_dwi.nii.gz"
    return DiffusionRun(
        path=path,
        bval=path,
        bvec=path,
        sidecar=path,
        entities=entities,
        pe_direction="j-",
        pe_source="PhaseEncodingDirection",
        readout_time=0.0475,
        readout_source="TotalReadoutTime",
        correction=Route(route, reason),
    )


@pytest.fixture
def project(tmp_path):
    """Settings, a plan and functions that write what a run would have written."""
    bids_dir, output_dir = tmp_path / "raw", tmp_path / "out"
    settings = Settings(bids_dir=bids_dir, output_dir=output_dir, work_dir=tmp_path / "work dir")
    t1w = T1wChoice(bids_dir / "sub-01" / "anat" / "sub-01_T1w.nii.gz", "the only one")
    runs = (make_run(bids_dir, "AP"), make_run(bids_dir, "PA"))
    refused = SessionPlan("02", None, None, problems=(f"no T1w: {HOSTILE}",))
    plan = Plan(bids_dir, (SessionPlan("01", None, t1w, runs), refused))

    def write_sidecar(key, entities, content):
        path = output_dir / output_path(key, entities)
        path = path.with_name(path.name.replace(".nii.gz", ".json"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def write_run(run, motion=True, check=None, **quality):
        content = {"SDCQuality": QUALITY | quality} if quality.pop("block", True) else {}
        if check:
            content["SDCCheck"] = check
        if motion:
            content["Motion"] = {"fd_mean": 0.2, "fd_max": 0.7}
        write_sidecar("dwi", run.entities, content)

    def write_model(subject="01", target="FA", **more):
        content = {"Model": "t1w-to-fa", "ModelVersion": "7", "WeightsSHA256": "ab" * 32}
        write_sidecar(f"synth_{target.lower()}", {"subject": subject}, content | more)

    return SimpleNamespace(
        settings=settings,
        plan=plan,
        out=output_dir,
        runs=runs,
        hostile=HOSTILE,
        make_run=partial(make_run, bids_dir),
        write_run=write_run,
        write_model=write_model,
    )
