"""The plan: what is done with each image of small datasets, and the text that shows it."""

import textwrap
from pathlib import Path

import pytest
from bids_tree import AP, diffusion, image, write_dataset

from bids_gan.bids.plan import format_plan
from bids_gan.errors import DataError, UsageError

T1W = {"sub-01/anat/sub-01_T1w.nii.gz": None}
RUN = "sub-01/dwi/sub-01_dir-AP"


def test_one_person(plan):
    made = plan({**T1W, **diffusion(RUN)})
    (session,) = made.runnable
    (run,) = session.dwi
    root = made.bids_dir
    assert session.entities == {"subject": "01"}
    assert (session.label, session.workflow_name) == ("sub-01", "sub_01_wf")
    assert session.t1w.path == root / "sub-01/anat/sub-01_T1w.nii.gz"
    assert (run.pe_direction, run.readout_time, run.route) == ("j-", 0.05, "synth")
    assert run.entities == {"subject": "01", "direction": "AP"}
    assert (run.path, run.bval, run.bvec, run.sidecar) == tuple(
        root / f"{RUN}_dwi.{ending}" for ending in ("nii.gz", "bval", "bvec", "json")
    )


def test_golden_text(plan):
    made = plan(
        {
            "sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz": image(zooms=(1, 1, 1)),
            "sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w.nii.gz": image(zooms=(0.8, 0.8, 0.8)),
            **diffusion("sub-01/ses-b/dwi/sub-01_ses-b_dir-AP"),
            **diffusion("sub-01/ses-b/dwi/sub-01_ses-b_dir-PA", {"PhaseEncodingAxis": "j"}),
            "sub-01/ses-c/func/sub-01_ses-c_task-rest_bold.nii.gz": None,
            **diffusion("sub-02/dwi/sub-02"),
        },
        sdc_on_failure="warn",
        fallback_total_readout_time=0.03,
    )
    text = format_plan(made)
    assert text.replace(str(made.bids_dir), "DATA") == textwrap.dedent(
        """\
        Plan for DATA

        sub-01 ses-a
          T1w  sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w.nii.gz
            why             the finest voxels (0.8 x 0.8 x 0.8 mm) of 2
            not             sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz
            brain mask      computed
          DWI  none: synthesis only

        sub-01 ses-b
          T1w  sub-01/ses-a/anat/sub-01_ses-a_run-2_T1w.nii.gz
            why             borrowed from ses-a, since this session has none (the finest voxels (0.8 x 0.8
                            x 0.8 mm) of 2)
            not             sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz
            brain mask      computed
          DWI  sub-01/ses-b/dwi/sub-01_ses-b_dir-AP_dwi.nii.gz
            phase encoding  j- (PhaseEncodingDirection)
            readout time    0.05 s (TotalReadoutTime)
            correction      synth: displacement estimated against the synthetic FA
          DWI  sub-01/ses-b/dwi/sub-01_ses-b_dir-PA_dwi.nii.gz
            phase encoding  unknown (PhaseEncodingDirection is missing, and PhaseEncodingAxis ('j') does
                            not tell the sign)
            readout time    0.03 s (--fallback-total-readout-time)
            correction      none: cannot be corrected without phase-encoding direction

        sub-02
          DWI  sub-02/dwi/sub-02_dwi.nii.gz
            phase encoding  j- (PhaseEncodingDirection)
            readout time    0.05 s (TotalReadoutTime)
            correction      none: no T1w to synthesise from
          REFUSED  no T1w image: synthesis starts from sub-02/anat/sub-02_T1w.nii.gz (or .nii), also with
                   acq-, rec- or run- in the name, or from a T1w of another session of this person. Without
                   it nothing can be done with sub-02/dwi/sub-02_dwi.nii.gz. If there is one, check its
                   name, whether it is a link that leads nowhere, --bids-filter-file, and the index in
                   --bids-database-dir.

        note  sub-01 ses-c: no T1w and no diffusion image, nothing to do.

        2 of 3 sessions can be processed, with 2 diffusion runs."""  # noqa: E501
    )


def test_missing_metadata_refuse_a_person_and_nobody_else(plan):
    content = {
        **T1W,
        **diffusion(RUN, {"PhaseEncodingAxis": "j"}),
        "sub-02/anat/sub-02_T1w.nii.gz": None,
    }
    made = plan(content)
    assert [session.label for session in made.runnable] == ["sub-02"]
    (problem,) = made.refused[0].problems
    for word in [
        f"{RUN}_dwi.nii.gz",
        f"{RUN}_dwi.json",
        "PhaseEncodingAxis ('j') does not tell the sign",
        "'j' or 'j-'",
        "TotalReadoutTime",
        "EffectiveEchoSpacing",
        "--fallback-total-readout-time",
        "--sdc-on-failure warn",
        "--sdc none",
    ]:
        assert word in problem
    assert "1 of 2 sessions can be processed" in format_plan(made)


def test_missing_metadata_with_warn_or_without_correction(plan):
    content = {**T1W, **diffusion(RUN, None)}
    (run,) = plan(content, sdc_on_failure="warn").runnable[0].dwi
    assert (run.route, run.sidecar) == ("none", None)
    assert "cannot be corrected without phase-encoding direction and readout time" in run.reason
    (run,) = plan(content, sdc="none").runnable[0].dwi
    assert (run.route, run.reason) == ("none", "--sdc none")


def test_missing_json_is_named(plan):
    (problem,) = plan({**T1W, **diffusion(RUN, None)}).refused[0].problems
    assert f"{RUN}_dwi.json" in problem


def test_all_problems_of_a_person_are_told_at_once(plan):
    made = plan({**T1W, **diffusion("sub-02/dwi/sub-02", {})})
    assert [session.label for session in made.runnable] == ["sub-01"]
    refused = made.sessions[1]
    assert "no T1w image" in refused.problems[0]
    assert "PhaseEncodingDirection is missing" in refused.problems[1]


def test_owner_of_an_unreadable_file_is_refused(plan):
    content = {
        **T1W,
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz": None,
        **diffusion("sub-02/ses-b/dwi/sub-02_ses-b"),
        "sub-02/ses-b/dwi/sub-02_ses-b_dwi.json": "{",
    }
    made = plan(content)
    assert [session.label for session in made.runnable] == ["sub-01"]
    assert [session.label for session in made.refused] == ["sub-02 ses-a", "sub-02 ses-b"]
    for session in made.refused:
        (problem,) = session.problems
        assert problem.startswith("sub-02/ses-b/dwi/sub-02_ses-b_dwi.json is no JSON")


def test_metadata_are_inherited(plan):
    content = {**T1W, **diffusion(RUN, None), "dwi.json": AP}
    (run,) = plan(content).runnable[0].dwi
    assert (run.pe_direction, run.readout_time) == ("j-", 0.05)
    assert run.sidecar.name == "dwi.json"


def test_gradients_are_inherited(plan):
    content = {**T1W, **diffusion(RUN)}
    for kind in ("bval", "bvec"):
        content[f"dwi.{kind}"] = content.pop(f"{RUN}_dwi.{kind}")
    (run,) = plan(content).runnable[0].dwi
    assert (run.bval.name, run.bvec.name) == ("dwi.bval", "dwi.bvec")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({f"{RUN}_dwi.bval": ""}, "gradient file sub-01_dir-AP_dwi.bval is empty"),
        ({f"{RUN}_dwi.bval": "0 b1000"}, "does not hold numbers only"),
        ({f"{RUN}_dwi.bvec": ""}, "gradient file sub-01_dir-AP_dwi.bvec is empty"),
    ],
)
def test_faulty_gradients_stop_or_leave_out(plan, change, words):
    content = {**T1W, **diffusion(RUN), **change}
    made = plan(content)
    (problem,) = made.refused[0].problems
    assert words in problem
    assert "--sdc-on-failure warn" in problem
    made = plan(content, sdc_on_failure="warn")
    (session,) = made.runnable
    assert session.dwi == ()
    assert words in session.notes[0]
    assert words.split()[0] in format_plan(made)


@pytest.mark.parametrize("kind", ["bval", "bvec"])
def test_absent_gradients_are_named(plan, kind):
    content = {**T1W, **diffusion(RUN)}
    del content[f"{RUN}_dwi.{kind}"]
    (problem,) = plan(content).refused[0].problems
    assert f"no gradient file: sub-01_dir-AP_dwi.{kind}" in problem


def test_runs_that_are_no_series_are_left_out_and_said(plan):
    b0_only = diffusion("sub-01/dwi/sub-01_dir-PA")
    b0_only["sub-01/dwi/sub-01_dir-PA_dwi.bval"] = "0 0"
    phase = diffusion("sub-01/dwi/sub-01_dir-AP_part-phase")
    made = plan({**T1W, **diffusion(RUN), **b0_only, **phase})
    (session,) = made.runnable
    assert [run.label for run in session.dwi] == ["dir-AP"]
    notes = " ".join(session.notes)
    assert "sub-01_dir-PA_dwi.nii.gz left out: 0 volumes with b > 100" in notes
    assert "part-phase is no magnitude image" in notes


def test_runs_that_would_overwrite_each_other(plan):
    content = {**T1W, **diffusion(RUN)}
    content[f"{RUN}_dwi.nii"] = None
    (problem,) = plan(content).refused[0].problems
    assert "cannot be told from" in problem


def test_every_image_is_accounted_for(plan):
    made = plan(
        {
            **T1W,
            "sub-01/anat/sub-01_acq-fast_T1w.nii.gz": None,
            **diffusion(RUN),
            **diffusion("sub-01/dwi/sub-01_dir-PA", {}),
            **diffusion("sub-02/ses-x/dwi/sub-02_ses-x"),
        }
    )
    text = format_plan(made)
    images = [path.name for path in Path(made.bids_dir).rglob("*.nii.gz")]
    assert len(images) == 5
    assert [name for name in images if name not in text] == []


def test_session_choice_still_borrows(plan):
    content = {
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz": None,
        **diffusion("sub-01/ses-b/dwi/sub-01_ses-b"),
        "sub-01/ses-c/anat/sub-01_ses-c_T1w.nii.gz": None,
    }
    (session,) = plan(content, session_label=("b",)).sessions
    assert session.session == "b"
    assert session.t1w.reason.startswith("borrowed from ses-a")
    assert session.workflow_name == "sub_01_ses_b_wf"


def test_brain_mask_is_reused(plan, tmp_path):
    old = write_dataset(tmp_path / "old", {"sub-01/anat/sub-01_desc-brain_mask.nii.gz": image()})
    made = plan({"sub-01/anat/sub-01_T1w.nii.gz": image()}, derivatives=(("fmriprep", old),))
    (session,) = made.sessions
    assert session.brain_mask == old / "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    assert "reused from fmriprep" in format_plan(made)


def test_person_without_any_image_is_refused_by_name(plan):
    made = plan({**T1W, "sub-02/func/sub-02_task-rest_bold.nii.gz": None})
    assert [session.label for session in made.sessions] == ["sub-01", "sub-02"]
    assert "no T1w image" in made.sessions[1].problems[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"participant_label": ("1",)}, ["--participant-label: 1", "01, 02"]),
        ({"session_label": ("x",)}, ["--session-label: x", "it has none"]),
    ],
)
def test_unknown_labels_name_what_exists(plan, given, words):
    with pytest.raises(UsageError) as error:
        plan({**T1W, "sub-02/anat/sub-02_T1w.nii.gz": None}, **given)
    for word in words:
        assert word in str(error.value)


def test_only_the_people_asked_for(plan):
    content = {**T1W, "sub-010/anat/sub-010_T1w.nii.gz": None}
    (session,) = plan(content, participant_label=("01",)).sessions
    assert session.subject == "01"


def test_dataset_without_people(plan):
    with pytest.raises(DataError, match="holds no 'sub-<label>' folder"):
        plan({})


@pytest.mark.parametrize(
    ("t1w", "run", "warned"),
    [
        ({"ImageType": ["M", "DIS2D"]}, {"ImageTypeText": ["ND"]}, "The T1w is corrected"),
        ({"ImageType": ["ND"]}, {"ImageType": ["DIS3D"]}, "The diffusion run is corrected"),
        ({"NonlinearGradientCorrection": True}, {"ImageType": ["ND"]}, "The T1w is corrected"),
        # the key is believed, not the word
        (
            {"NonlinearGradientCorrection": False, "ImageType": ["DIS2D"]},
            {"ImageType": ["DIS2D"]},
            "NonlinearGradientCorrection is false",
        ),
        ({"ImageType": ["DIS2D"]}, {"ImageType": ["DIS3D"]}, None),
        ({}, {"ImageType": ["ND"]}, None),
        ({"ImageType": "DIS2D"}, {"ImageType": ["ND"]}, None),
    ],
)
def test_different_shapes_by_the_gradients_are_warned_of(plan, t1w, run, warned):
    sidecar = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}
    content = {
        **T1W,
        "sub-01/anat/sub-01_T1w.json": t1w,
        **diffusion(RUN, {**sidecar, **run}),
    }
    (session,) = plan(content).runnable
    if warned is None:
        assert not session.notes
    else:
        (note,) = session.notes
        assert note.startswith("WARNING: sub-01_dir-AP_dwi.nii.gz and the T1w")
        assert warned in note
    # no field is estimated
    assert not plan(content, sdc="none").runnable[0].notes
