"""Fields of two runs are compared at the same place of the head."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.bids.measured import MeasuredField
from bids_gan.bids.outputs import output_path
from bids_gan.bids.route import Route
from bids_gan.interfaces.derivatives import SaveFieldDifferences
from bids_gan.itk import write_affine
from bids_gan.reports.comparison import compare_fields
from bids_gan.reports.group import write_group
from bids_gan.reports.subject import write_subject_reports

SHAPE = (24, 28, 20)
ZOOM = 3.0


def field_of_the_head(points):
    """Hz at T1w world points (mm)."""
    return 40 * np.exp(-((points - [5, 10, -3]) ** 2).sum(-1) / (2 * 15.0**2))


def save_run(project, run, turn, move, extra=0.0, kind="fieldmap"):
    """Field of a run whose head lay elsewhere in the scanner, `extra` Hz off."""
    to_dwi = np.eye(4)  # world of the T1w -> world of the run
    angle = np.deg2rad(turn)
    to_dwi[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    to_dwi[:3, 3] = move
    affine = np.diag([ZOOM, ZOOM, ZOOM, 1])
    affine[:3, 3] = -ZOOM / 2 * np.array(SHAPE) + move
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(SHAPE), 0, -1))
    in_head = nib.affines.apply_affine(np.linalg.inv(to_dwi), world)
    mask = (np.linalg.norm(in_head, axis=-1) < 25).astype(np.uint8)
    images = {kind: field_of_the_head(in_head) + extra, "brain_mask_dwi": mask, "dwiref": mask}
    for key, data in images.items():
        path = project.out / output_path(key, run.entities, run.route)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.asarray(data, np.float32), affine), path)
    write_affine(to_dwi, project.out / output_path("dwi_to_t1w", run.entities))


@pytest.fixture
def session(project):
    """Two runs of opposite phase encoding; the second field is 10 Hz too high and withdrawn."""
    ap, pa = project.runs[0], replace(project.runs[1], pe_direction="j")
    save_run(project, ap, 0, [0, 0, 0])
    save_run(project, pa, 15, [4, -7, 3], extra=10, kind="fieldmap_rejected")
    return replace(project.plan.sessions[0], dwi=(ap, pa))


def test_fields_are_compared_in_the_head_and_in_mm_of_the_run(project, session):
    found = compare_fields(project.out, session, session.dwi[0])
    assert found.other == "dir-PA"
    expected = 10 * ZOOM * session.dwi[0].readout_time
    assert found.record["field_difference_median_mm"] == pytest.approx(expected, abs=0.05)
    assert found.record["field_difference_p95_mm"] == pytest.approx(expected, abs=0.2)
    back = compare_fields(project.out, session, session.dwi[1])
    inside = np.asarray(back.mask.dataobj) > 0
    assert np.median(np.asarray(back.hz.dataobj)[inside]) == pytest.approx(10, abs=0.5)


def test_the_opposite_run_is_preferred(project, session):
    same = project.make_run("LR")
    save_run(project, same, 0, [0, 0, 0])
    session = replace(session, dwi=(session.dwi[0], same, session.dwi[1]))
    assert compare_fields(project.out, session, session.dwi[0]).other == "dir-PA"


@pytest.mark.parametrize("route", ["reverse-pe", "none"])
def test_one_pair_of_images_is_not_compared_with_itself(project, session, route):
    runs = tuple(replace(run, correction=Route(route, "asked")) for run in session.dwi)
    for run in runs:
        save_run(project, run, 0, [0, 0, 0])
    assert compare_fields(project.out, replace(session, dwi=runs), runs[0]) is None


def test_a_field_that_is_alone_is_not_compared(project, session):
    (rejected,) = project.out.rglob("*PA_desc-rejected_fieldmap.nii.gz")
    rejected.unlink()
    assert compare_fields(project.out, session, session.dwi[0]) is None
    assert compare_fields(project.out, session, session.dwi[1]) is None


@pytest.fixture
def checked(session):
    """The session, its first run with a measured field beside."""
    magnitude = Path("sub-01_magnitude1.nii.gz")
    field = MeasuredField((Path("sub-01_phasediff.nii.gz"),), magnitude)
    check = Route("measured", "acquired too", measured=field)
    run = replace(session.dwi[0], correction=Route("synth", "asked", check=check))
    return replace(session, dwi=(run, session.dwi[1]))


def test_what_was_acquired_is_compared_before_another_run(project, checked):
    run = checked.dwi[0]
    mine = nib.load(project.out / output_path("fieldmap", run.entities, run.route))
    path = project.out / output_path("fieldmap_check", run.entities, "measured")
    nib.save(nib.Nifti1Image(np.asarray(mine.dataobj) - 20, mine.affine), path)
    found = compare_fields(project.out, checked, run)
    assert found.other == "sub-01_phasediff.nii.gz"
    expected = 20 * ZOOM * run.readout_time
    assert found.record["field_difference_median_mm"] == pytest.approx(expected)
    path.unlink()  # it was not believable
    assert compare_fields(project.out, checked, run).other == "dir-PA"


def test_report_says_why_what_was_acquired_is_not_compared(project, checked):
    for run, check in zip(
        checked.dwi, ({"accepted": False, "reasons": ["too <steep>"]}, {}), strict=True
    ):
        path = project.out / output_path("dwi", run.entities)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(
            json.dumps({"SDCQuality": {"accepted": True}, "SDCCheck": check})
        )
    write_subject_reports(project.settings, replace(project.plan, sessions=(checked,)))
    html = (project.out / "sub-01.html").read_text()
    assert "The field of sub-01_phasediff.nii.gz is not believable: too &lt;steep&gt;" in html
    assert html.count("is not believable") == 1


def kept(project):
    """Names, after the direction, of what is kept of differences."""
    return sorted(path.name.partition("_dir-")[2] for path in project.out.rglob("*difference_*"))


def test_figure_and_numbers_reach_reports_of_a_person_and_of_all(project, session, monkeypatch):
    monkeypatch.chdir(project.out)  # the working folder of the step
    for run in session.dwi:
        project.write_run(run)
    step = SaveFieldDifferences(settings=project.settings, session=session, saved=["x"])
    saved = step.run().outputs.saved
    assert sorted(Path(path).name.partition("_dir-")[2] for path in saved) == kept(project)
    assert kept(project) == [
        "AP_desc-fielddifference_dwi.svg",
        "AP_desc-fielddifference_qc.json",
        "PA_desc-fielddifference_dwi.svg",
        "PA_desc-fielddifference_qc.json",
    ]
    write_subject_reports(project.settings, replace(project.plan, sessions=(session,)))
    html = (project.out / "sub-01.html").read_text()
    assert html.count('desc-fielddifference_dwi.svg" ') >= 2
    assert "compared with that of dir-PA" in html
    assert "Median difference to another field" in html
    write_group(project.out)
    columns, ap, pa = (
        line.split("\t")
        for line in (project.out / "group_desc-sdc_qc.tsv").read_text().splitlines()
    )
    assert ap[columns.index("compared_with")] == "dir-PA"
    expected = 10 * ZOOM * session.dwi[0].readout_time
    median = columns.index("field_difference_median_mm")
    assert float(ap[median]) == pytest.approx(expected, abs=0.05)
    assert float(pa[median]) == pytest.approx(expected, abs=0.05)
    assert (
        "Median difference to another field (mm), runs: 2"
        in (project.out / "group.html").read_text()
    )


def test_difference_of_an_earlier_run_does_not_outlive_it(project, session, monkeypatch):
    monkeypatch.chdir(project.out)
    settings = project.settings
    SaveFieldDifferences(settings=settings, session=session, saved=["x"]).run()
    alone = replace(session, dwi=session.dwi[:1])
    SaveFieldDifferences(settings=settings, session=alone, saved=["x"]).run()
    assert kept(project) == [
        "PA_desc-fielddifference_dwi.svg",
        "PA_desc-fielddifference_qc.json",
    ]
