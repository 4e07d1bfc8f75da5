"""What a diffusion run leaves in the derivatives beside its images."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.bids.measured import MeasuredField
from bids_gan.bids.outputs import output_path
from bids_gan.bids.plan import DiffusionRun, SessionPlan, T1wChoice
from bids_gan.bids.route import Route
from bids_gan.interfaces.derivatives import SaveRun
from bids_gan.settings import Settings

IMAGES = (
    *("dwi", "fa", "fa_uncorrected", "fa_t1w", "s0", "reference", "dwiref"),
    *("brain_mask", "piled_up", "synth_fa", "field", "orig_to_dwi"),
)
TEXTS = {
    **dict.fromkeys(("bval", "bvec", "xfm"), "0"),
    "record": json.dumps({"Model": "t1w-to-fa", "WeightsSHA256": "", "OutOfDistribution": 1}),
    "quality": json.dumps({"accepted": True, "reasons": []}),
}


RUN = {"subject": "01", "direction": "AP"}


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Save a run of route synth; images hold 1."""
    monkeypatch.chdir(tmp_path)  # the working folder of the step
    raw = tmp_path / "raw"
    settings = Settings(raw, tmp_path / "out")
    dwi = raw / "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"
    field = MeasuredField((raw / "sub-01/fmap/sub-01_phasediff.nii.gz",), raw / "sub-01/x.nii.gz")
    run = DiffusionRun(
        path=dwi,
        bval=dwi,
        bvec=dwi,
        sidecar=None,
        entities=RUN,
        pe_direction="j-",
        pe_source="",
        readout_time=0.05,
        readout_source="",
        correction=Route("synth", "asked"),
    )
    given = {name: tmp_path / f"{name}.nii" for name in IMAGES}
    for path in given.values():
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), path)
    for name, text in TEXTS.items():
        given[name] = tmp_path / f"{name}.txt"
        given[name].write_text(text)
    given["motion"] = tmp_path / "motion.npz"
    np.savez(given["motion"], fd=[np.nan, 0.5])

    def saved(check_quality=None, route="synth", **more):
        checked = replace(run, correction=Route(route, "asked"))
        if check_quality:
            check = Route("measured", "acquired too", measured=field)
            checked = replace(checked, correction=replace(checked.correction, check=check))
            (tmp_path / "check.json").write_text(json.dumps(check_quality))
            more["check_quality"] = tmp_path / "check.json"
        session = SessionPlan("01", None, T1wChoice(raw / "sub-01/t1w.nii.gz", ""), (checked,))
        SaveRun(settings=settings, session=session, run=checked, **given | more).run()
        sidecar = settings.output_dir / output_path("dwi", run.entities)
        text = json.loads(Path(str(sidecar).replace(".nii.gz", ".json")).read_text())
        return text, settings.output_dir / output_path("fieldmap_check", run.entities, "measured")

    saved.image = given["field"]
    saved.withdrawn = tmp_path / "withdrawn.json"
    saved.withdrawn.write_text(json.dumps({"accepted": False, "reasons": ["no gain"]}))
    saved.out = settings.output_dir
    return saved


def test_field_of_what_was_acquired_beside_is_kept_for_comparison_only(save):
    text, field = save({"accepted": True, "reasons": []}, check_field=save.image)
    assert text["SDCCheck"] == {"Route": "measured", "accepted": True, "reasons": []}
    about = json.loads(Path(str(field).replace(".nii.gz", ".json")).read_text())
    assert "bids:raw:sub-01/fmap/sub-01_phasediff.nii.gz" in about["Sources"]
    # nothing that would let another pipeline take it for the field of the run
    assert "B0FieldIdentifier" not in about
    assert nib.load(field).shape == (2, 2, 2)


def test_field_of_an_earlier_run_does_not_outlive_its_failure(save):
    _, field = save({"accepted": True, "reasons": []}, check_field=save.image)
    text, _ = save({"accepted": False, "reasons": ["cut short"]})
    assert text["SDCCheck"]["reasons"] == ["cut short"]
    assert not list(field.parent.glob("*desc-check*"))


def test_without_other_fields_nothing_is_said(save):
    text, field = save()
    assert "SDCCheck" not in text
    assert not field.exists()


def test_what_another_route_found_and_drew_before_is_gone(save):
    """Nothing of a correction is left for a report, or for other software, once there is none."""
    picture = str(save.out.parent / "picture.svg")
    Path(picture).write_text("<svg/>")
    figures = dict.fromkeys(("motion", "fieldmap", "displacement"), picture)
    found = {"accepted": True, "reasons": []}
    save(found, check_field=save.image, field_std=save.image, figures=figures)
    (save.out / output_path("figure_run", RUN, what="fielddifference", suffix="dwi")).touch()
    assert len(list(save.out.glob("sub-01/fmap/*"))) == 8  # four images, four JSON files
    save(route="none", figures={"motion": picture})
    assert not list(save.out.glob("sub-01/fmap/*"))
    left = {path.name for path in save.out.glob("sub-01/figures/*")}
    assert left == {"sub-01_dir-AP_desc-motion_dwi.svg"}


def test_pile_up_is_marked_only_where_a_field_was_applied(save):
    marks = save.out / output_path("pileup_mask", RUN)
    save()
    assert json.loads(Path(str(marks).replace(".nii.gz", ".json")).read_text())["Type"] == "ROI"
    save(quality=save.withdrawn)
    assert not marks.exists()
    save()
    save(route="none")
    assert not marks.exists()
