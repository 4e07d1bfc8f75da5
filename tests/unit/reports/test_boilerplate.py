import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from bids_gan.reports import bibliography, boilerplate
from bids_gan.reports.boilerplate import methods_text, write_boilerplate


def text_of(project, plan=None):
    return methods_text(project.settings, (plan or project.plan).sessions)


def test_kept_and_withdrawn_corrections_are_counted(project):
    project.write_model()
    project.write_run(project.runs[0])
    project.write_run(project.runs[1], accepted=False, reasons=["no gain"])
    text = text_of(project)
    assert "kept for 1 diffusion run:" in text
    assert "withdrawn for 1 diffusion run " in text
    assert "No distortion correction" not in text
    assert "t1w-to-fa version 7" in text


def test_nothing_is_claimed_that_was_not_done(project):
    text = text_of(project)
    for word in ("kept", "withdrawn", "tensor", "predicted", "N4", "Jacobian"):
        assert word not in text
    assert "No result existed for 2 diffusion runs" in text


def test_runs_without_correction_say_why(project):
    project.write_model()
    run = project.make_run("AP", route="none", reason="--sdc none")
    project.write_run(run, block=False)
    session = replace(project.plan.sessions[0], dwi=(run,))
    text = text_of(project, replace(project.plan, sessions=(session,)))
    assert "No distortion correction was made for 1 diffusion run (--sdc none)." in text
    assert "estimated as a displacement" not in text
    assert "andersson2003distortion" not in text
    assert "veraart2013wls" in text


def test_route_of_the_field_is_described(project):
    texts = {}
    for route in ("synth", "reverse-pe", "measured"):
        project.write_model()
        run = project.make_run("AP", route=route)
        project.write_run(run)
        session = replace(project.plan.sessions[0], dwi=(run,))
        texts[route] = text_of(project, replace(project.plan, sessions=(session,)))
    assert "With the synthetic FA, susceptibility distortion" in texts["synth"]
    assert "opposite phase encoding" not in texts["synth"]
    assert "With an image of opposite phase encoding" in texts["reverse-pe"]
    assert "With the synthetic FA, susceptibility" not in texts["reverse-pe"]
    assert "With a field map that was measured" in texts["measured"]
    assert "herraez2002unwrapping" in texts["measured"]


def test_nothing_is_said_of_the_routes_of_runs_without_result(project):
    project.write_model()
    done = project.make_run("AP", route="synth")
    project.write_run(done, accepted=False)
    other = project.make_run("PA", route="measured")
    refused = project.make_run("LR", route="none", reason="no readout time")
    session = replace(project.plan.sessions[0], dwi=(done, other, refused))
    text = text_of(project, replace(project.plan, sessions=(session,)))
    assert "No result existed for 2 diffusion runs" in text
    assert "field map that was measured" not in text
    assert "readout time" not in text.replace("total readout time", "")


def test_reused_brain_masks_are_mentioned(project):
    project.write_model()
    session = replace(project.plan.sessions[0], brain_mask=project.out / "mask.nii.gz")
    text = text_of(project, replace(project.plan, sessions=(session,)))
    assert "earlier derivatives for 1 of 1 T1w" in text


def test_files_agree_with_each_other(project):
    project.write_model()
    project.write_run(project.runs[0])
    files = write_boilerplate(project.settings, project.plan)
    assert [path.relative_to(project.out).as_posix() for path in files] == [
        "logs/CITATION.md",
        "logs/CITATION.html",
        "logs/CITATION.bib",
    ]
    markdown, page, bib = (path.read_text() for path in files)
    body, references = markdown.split("### References")
    cited = set(re.findall(r"@(\w+)", body))
    assert cited == set(re.findall(r"^@\w+\{(\w+),", bib, re.M))
    assert cited == set(re.findall(r"^- \[@(\w+)\]", references, re.M))
    assert cited == set(re.findall(r'<li id="ref-(\w+)">', page))
    assert cited == set(re.findall(r'href="#ref-(\w+)"', page))
    assert "[@" not in page
    assert "(Andersson et al. 2003)" in unescape(re.sub(r"<[^>]+>", "", page))


def test_every_entry_of_the_bibliography_is_whole_and_cited_somewhere(project):
    entries = bibliography._bibliography()
    raw = (bibliography.DATA / "boilerplate.bib").read_text()
    assert len(entries) == raw.count("\n@") + 1
    source = Path(boilerplate.__file__).read_text()
    for key, (_, fields) in entries.items():
        assert {"author", "title", "year"} <= set(fields), key
        assert not re.search(r"[{}\\]", "".join(fields.values())), key
        assert f"@{key}" in source, key
        assert bibliography.reference(key).count("..") == 0


def test_unknown_citation_is_an_error():
    with pytest.raises(KeyError, match="nobody1900"):
        bibliography.cited_keys("As shown [@nobody1900].")


def test_html_is_escaped(project):
    project.write_model(Model=project.hostile)
    _, page, _ = write_boilerplate(project.settings, project.plan)
    assert "<script" not in page.read_text()
    assert "&lt;script&gt;" in page.read_text()
