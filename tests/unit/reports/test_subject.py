import os
import re
import shlex
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan import __version__
from bids_gan.bids.outputs import output_path
from bids_gan.bids.route import Route
from bids_gan.cli.parser import parse_settings
from bids_gan.errors import ProcessingError
from bids_gan.reports import subject
from bids_gan.reports.outcome import read_outcome, read_synthesis
from bids_gan.reports.subject import rerun_command, write_subject_reports

BENCHMARKS = Path(__file__).parents[3] / "docs/benchmarks.md"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


def add_figure(project, key, entities, what, suffix):
    path = project.out / output_path(key, entities, what=what, suffix=suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PICTURE)
    return path.relative_to(project.out).as_posix()


def write(project, plan=None):
    write_subject_reports(project.settings, plan or project.plan)
    return (project.out / "sub-01.html").read_text()


def section(html, name):
    return html.split(f'<section id="{name}">')[1].split("</section>")[0]


def test_every_run_has_a_line_with_what_was_done_and_why(project):
    project.write_model()
    project.write_run(project.runs[0])
    project.write_run(project.runs[1], accepted=False, reasons=["agreement fell by 0.02"])
    html = write(project)
    rows = section(html, "Summary").split("<tr>")[1:]
    (ap,) = (row for row in rows if "dir-AP" in row)
    (pa,) = (row for row in rows if "dir-PA" in row)
    assert "state good" in ap
    assert "TotalReadoutTime" in ap
    assert "state attention" in pa
    assert "withdrawn" in pa
    assert "agreement fell by 0.02" in pa
    assert "t1w-to-fa version 7" in section(html, "Summary")


def test_what_one_blip_can_do_is_said_with_the_figures_of_the_benchmarks(project):
    """Removed, and where the displacement exceeds 3 mm: first both blips alone, then together."""
    table = BENCHMARKS.read_text()
    figures = re.findall(r"^\| [AP]{2} \(.*\| (\d+) \| (\d+) \|$", table, re.MULTILINE)
    (ap, pa), together = figures[:2], figures[4:6]
    said = " ".join(section(write(project), "Summary").split())
    assert f"{ap[0]} and {pa[0]} % of the displacement" in said
    assert f"{ap[1]} and {pa[1]} % where it exceeds 3 mm" in said
    assert f"with both blips {together[0][0]} and {together[1][0]} %" in said
    none = [replace(run, correction=Route("none", "asked")) for run in project.runs]
    plan = replace(project.plan, sessions=(replace(project.plan.sessions[0], dwi=tuple(none)),))
    assert "one blip can do" not in write(project, plan)


def test_the_first_line_gives_the_reasons_in_words(project):
    project.write_model(OutOfDistribution=4.5)
    project.write_run(project.runs[0])
    project.write_run(project.runs[1], accepted=False, reasons=["agreement fell by 0.02"])
    first = section(write(project), "Summary").split("<table")[0]
    assert "state attention" in first
    reasons = re.findall(r"<li>(.*?)</li>", first, re.DOTALL)
    assert [reason.split(":")[0] for reason in reasons] == [
        "sub-01, dir-PA",
        "sub-01, synthetic FA",
    ]
    assert "agreement fell by 0.02" in reasons[0]
    assert "unlike those of the training" in reasons[1]


def test_summary_has_the_versions(project):
    summary = " ".join(section(write(project), "Summary").split())
    assert f"bids-gan {__version__}, torch {version('torch')};" in summary
    assert f"torch</td><td>{version('torch')}</td>" in section(write(project), "About")


@pytest.mark.parametrize(
    ("run", "sidecar", "state", "words"),
    [
        ({}, None, "bad", "No result"),
        ({}, {}, "good", "the synthetic FA; the quality gate accepted"),
        ({"route": "reverse-pe"}, {}, "good", "the image of opposite phase encoding; the"),
        ({}, {"accepted": False, "reasons": ["a fold"]}, "attention", "a fold"),
        ({}, {"block": False}, "attention", "not known"),
        ({"route": "none", "reason": "--sdc none"}, {"block": False}, "attention", "--sdc none"),
    ],
)
def test_outcome_of_a_run(project, run, sidecar, state, words):
    planned = project.make_run("AP", **run)
    if sidecar is not None:
        project.write_run(planned, **sidecar)
    outcome = read_outcome(project.out, planned)
    assert outcome.state == state
    assert words in outcome.sentence
    assert outcome.finished == (sidecar is not None)


@pytest.mark.parametrize(
    ("score", "state", "words"),
    [(1.2, "good", "T1w has"), (4.2, "attention", "unlike"), (None, "good", "written")],
)
def test_strange_t1w_is_said_to_be_strange(project, score, state, words):
    project.write_model(OutOfDistribution=score)
    outcome = read_synthesis(project.out, {"subject": "01"}, "FA")
    assert outcome.state == state
    assert words in outcome.sentence
    assert ("score" in outcome.sentence) == (score is not None)


def test_parts_of_the_score_are_shown_and_the_farthest_is_named(project):
    seen = {"grey_mean": [0.6, 0.06], "brain_volume_ml": [1400, 150], "new": [1, 1]}
    appearance = {"grey_mean": 0.66, "brain_volume_ml": 1025.0, "of_another_version": 1}
    project.write_model(Appearance=appearance, RangeSeen=seen)
    page = section(write(project), "Synthesis")
    assert "training of the FA is “Brain volume (ml)”, by\n2.5 standard" in page
    grey, volume = page.split("Standard score</th>")[1].split("<tr>")[1:]
    assert "<td>Grey matter of the T1w</td>" in grey
    assert re.findall(r'"number">([^<]+)<', grey) == ["+1.0", "0.66", "0.6 ± 0.06"]
    assert "<td>Brain volume (ml)</td>" in volume
    assert re.findall(r'"number">([^<]+)<', volume) == ["farthest: −2.5", "1025", "1400 ± 150"]
    project.write_model(Appearance=appearance)
    assert "Standard score" not in write(project)


def test_every_contrast_that_was_asked_for_has_its_line_and_figure(project):
    project.settings = replace(project.settings, targets=("T2w",))
    project.write_model()
    add_figure(project, "figure_session", {"subject": "01"}, "synth", "T2w")
    html = write(project)
    assert "Synthetic FA written" in section(html, "Summary")
    assert "No synthetic T2w was written" in section(html, "Summary")
    assert "desc-synth_T2w.svg" in section(html, "Synthesis")


def test_page_with_volumes_is_linked_where_it_exists(project):
    assert "viewer" not in write(project)
    mask = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    t1w = project.plan.sessions[0].t1w.path
    path = project.out / output_path("brain_mask_t1w", {"subject": "01"})
    for file in (t1w, path):
        file.parent.mkdir(parents=True, exist_ok=True)
        mask.to_filename(file)
    address = "sub-01/figures/sub-01_desc-volumes_viewer.html"
    assert f'href="./{address}"' in section(write(project), "Summary")
    assert 'href="../../sub-01.html"' in (project.out / address).read_text()
    page = project.out / address
    page.write_text("kept, since it is newer than its images")
    write(project)
    assert page.read_text().startswith("kept")
    os.utime(path, ns=(2 * page.stat().st_mtime_ns,) * 2)
    write(project)
    assert not page.read_text().startswith("kept")
    page.write_text("old")
    os.utime(path, (0, 0))
    project.settings = replace(project.settings, reports_only=True)
    write(project)
    assert page.read_text() != "old"
    path.unlink()
    assert "viewer" not in write(project)
    assert not page.exists()


def test_half_a_sidecar_counts_as_no_result(project):
    project.write_run(project.runs[0])
    path = next(project.out.rglob("*_desc-preproc_dwi.json"))
    path.write_text(path.read_text()[:20])
    assert read_outcome(project.out, project.runs[0]).state == "bad"


def test_refused_person_gets_a_report_with_the_reason(project):
    write(project)
    html = (project.out / "sub-02.html").read_text()
    assert "state bad" in section(html, "Summary")
    assert "no T1w" in html


def test_text_from_outside_is_escaped_everywhere(project):
    project.write_model(Model=project.hostile)
    project.write_run(
        project.runs[0],
        accepted=False,
        reasons=[project.hostile],
        **{project.hostile: project.hostile},
    )
    crash = project.settings.log_dir / "crash-1.txt"
    crash.parent.mkdir(parents=True)
    crash.write_text(f"Node: bids_gan_wf.sub_01_wf.<b>\n\nValueError: {project.hostile}\n")
    session = replace(
        project.plan.sessions[0],
        notes=(project.hostile,),
        problems=(project.hostile,),
        brain_mask_reason=project.hostile,
    )
    session = replace(session, t1w=replace(session.t1w, reason=project.hostile))
    others = project.plan.sessions[1:]
    plan = replace(
        project.plan,
        sessions=(session, *others),
        notes=(project.hostile,),
    )
    for html in (write(project, plan), (project.out / "sub-02.html").read_text()):
        assert "&lt;script&gt;" in html
        assert "<script" not in html


def test_nothing_is_loaded_from_elsewhere(project):
    project.write_model()
    project.write_run(project.runs[0])
    dwi = {"subject": "01", "direction": "AP"}
    named = [
        add_figure(project, "figure_session", {"subject": "01"}, "anatomy", "T1w"),
        add_figure(project, "figure_session", {"subject": "01"}, "synth", "FA"),
        *(
            add_figure(project, "figure_run", dwi, what, "dwi")
            for what in ("sdcb0", "sdcFA", "fieldmap", "displacement", "motion")
        ),
    ]
    html = write(project)
    loaded = re.findall(r"""(?:src|data)=["']([^"']+)["']""", html)
    assert sorted(path.removeprefix("./") for path in loaded) == sorted(named)
    for path in loaded:
        assert (project.out / path).is_file()
    assert not re.search(r"<(script|link|iframe|base)\b|@import|url\(", html)
    assert html.count("<img ") + html.count("<object ") == len(named)
    assert len(re.findall(r'<(?:img alt|object aria-label)="\w', html)) == len(named)


def test_figures_stand_in_their_section_and_run(project):
    for run in project.runs:
        project.write_run(run)
        add_figure(project, "figure_run", run.entities, "sdcb0", "dwi")
    add_figure(project, "figure_run", project.runs[1].entities, "motion", "dwi")
    add_figure(project, "figure_session", {"subject": "011"}, "anatomy", "T1w")
    html = write(project)
    distortion = section(html, "Distortion")
    assert distortion.index("AP") < distortion.index("dir-AP_desc-sdcb0")
    assert distortion.index("dir-AP_desc-sdcb0") < distortion.index("dir-PA_desc-sdcb0")
    assert "dir-PA_desc-motion" in section(html, "Diffusion")
    assert "sub-011" not in html


def test_sessions_and_runs_are_told_apart(project):
    sessions = []
    for label in ("a", "b"):
        run = project.make_run("AP", session=label)
        sessions.append(replace(project.plan.sessions[0], session=label, dwi=(run,)))
        project.write_run(run, displacement_p99_mm={"a": 1.11, "b": 2.22}[label])
        add_figure(project, "figure_run", run.entities, "sdcb0", "dwi")
        entities = {"subject": "01", "session": label}
        add_figure(project, "figure_session", entities, "anatomy", "T1w")
    html = write(project, replace(project.plan, sessions=tuple(sessions)))
    for name, stem in (
        ("Anatomy", "ses-{}_desc-anatomy"),
        ("Distortion", "ses-{}_dir-AP_desc-sdc"),
    ):
        part = section(html, name)
        for label in "ab":
            assert part.count(f'data="./sub-01/figures/sub-01_{stem.format(label)}') + part.count(
                f'src="./sub-01/figures/sub-01_{stem.format(label)}'
            ) == 1  # fmt: skip
    distortion = section(html, "Distortion")
    assert distortion.index("1.11") < distortion.index("ses-a_dir-AP_desc-sdcb0")
    assert distortion.index("ses-a_dir-AP_desc-sdcb0") < distortion.index("2.22")


def test_numbers_have_unit_and_meaning_and_unknown_ones_are_kept(project):
    project.write_run(project.runs[0])
    table = section(write(project), "Distortion")
    assert re.search(r"99th percentile of displacement</td><td[^>]*>5.221</td>\s*<td>mm", table)
    assert re.search(r"Mean framewise displacement</td><td[^>]*>0.2</td>\s*<td>mm", table)
    assert re.search(r"brand_new_number</td><td[^>]*>3</td>", table)


def test_crash_files_are_those_of_the_person_newest_first(project):
    logs = project.settings.log_dir
    logs.mkdir(parents=True)
    texts = {
        "crash-new.txt": "Node: bids_gan_wf.sub_01_wf.sdc_wf.fit\nMemoryError: new\n",
        "crash-old.txt": "Node: bids_gan_wf.sub_01_wf.sdc_wf.fit\nValueError: old\n",
        "crash-other.txt": "Node: bids_gan_wf.sub_011_wf.sdc\nValueError: other\n",
        "crash-nobody.txt": "Node: bids_gan_wf.lonely\nValueError: nobody\n",
    }
    for age, (name, text) in enumerate(texts.items()):
        (logs / name).write_text(text)
        os.utime(logs / name, (1e9 - age, 1e9 - age))
    errors = section(write(project), "Errors")
    place = f"logs/{project.settings.run_uuid}"
    assert errors.index(f"{place}/crash-new.txt") < errors.index(f"{place}/crash-old.txt")
    assert "MemoryError: new" in errors
    assert "step sdc_wf.fit" in errors
    assert "other" not in errors
    assert "nobody" not in errors


def test_rerun_command_is_quoted_and_names_the_stored_settings(project):
    project.settings.log_dir.mkdir(parents=True)
    (project.settings.log_dir / "bids-gan.toml").write_text("")
    command = rerun_command(project.settings, "01")
    assert command.startswith("bids-gan ")
    assert "--participant-label 01" in command
    assert f"'{project.settings.work_dir}'" in command
    assert f"{project.settings.run_uuid}/bids-gan.toml" in command


def test_rerun_command_runs_again_even_if_only_the_pages_were_written_last(project):
    """What an earlier call did once, here and to the work folder, is not done again."""
    once = {"reports_only": True, "clean_workdir": True, "dry_run": True, "write_graph": True}
    settings = replace(project.settings, targets=("CT",), **once)
    settings.bids_dir.mkdir(exist_ok=True)
    settings.log_dir.mkdir(parents=True)
    settings.to_toml(settings.log_dir / "bids-gan.toml")
    again = parse_settings(shlex.split(rerun_command(settings, "01"))[1:])
    assert again.targets == ("CT",)
    assert again.participant_label == ("01",)
    assert not any(getattr(again, name) for name in once)


def test_one_failing_report_does_not_stop_the_others(project, monkeypatch):
    real = subject._write_report

    def fail(settings, plan, label):
        if label == "01":
            raise OSError("disk full")
        return real(settings, plan, label)

    monkeypatch.setattr(subject, "_write_report", fail)
    with pytest.raises(ProcessingError, match=r"sub-01\.html .*disk full.*--reports-only"):
        write_subject_reports(project.settings, project.plan)
    assert (project.out / "sub-02.html").is_file()
