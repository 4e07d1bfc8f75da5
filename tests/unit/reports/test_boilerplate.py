import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from bids_gan.bids.outputs import outputs
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


UNET = {"Network": "space-to-depth-unet", "NetworkDimensions": 3}


def test_every_contrast_that_was_made_is_named_with_what_it_learnt_from(project):
    project.settings = replace(project.settings, targets=("T2w", "CT", "FDG"))
    project.write_model(Targets="pseudo: a template", **UNET)
    learnt = "simulated: Hounsfield units of each label"
    project.write_model(target="CT", Model="t1w-to-ct", Targets=learnt, **UNET)
    project.write_model(target="T2w", Model="mine", Network="resnet", NetworkDimensions=2)
    text = text_of(project)
    fa, t2w, ct = (p for p in text.split("\n\n") if p.startswith("For 1 T1w, "))
    assert "t1w-to-ct version 7" in ct
    assert f"trained to make: “{learnt}”." in ct
    assert "a 3D convolutional network in the manner of the U-Net [@cicek2016unet]" in ct
    assert "(CT) in Hounsfield units" in ct
    assert "T2-weighted image" in t2w
    assert "a 2D neural network of kind resnet" in t2w
    assert "U-Net" not in t2w
    assert "trained to make is not recorded" in t2w
    assert "@gu2019synthesis" in fa
    assert "gu2019" not in t2w + ct
    assert "FDG" not in text  # asked for, and not there
    assert "predictions and not measurements" in text


def test_anatomy_is_described_where_the_fa_failed(project):
    project.settings = replace(project.settings, targets=("CT",))
    project.write_model(target="CT")
    text = text_of(project)
    assert "N4" in text
    assert "fractional anisotropy" not in text


def test_network_that_the_sidecar_does_not_name_is_not_guessed(project):
    project.write_model()
    text = text_of(project)
    assert "by a neural network run with" in text
    assert "U-Net" not in text
    assert "cicek2016unet" not in text


def test_every_target_has_its_words():
    known = {spec["target"] for spec in outputs().values() if "target" in spec}
    assert known == set(boilerplate._CONTRASTS)


@pytest.mark.parametrize(
    ("route", "use"),
    [
        (None, []),
        ("none", ["rigid alignment of 1 diffusion run."]),
        ("reverse-pe", ["rigid alignment of 1 diffusion run.", "the displacement of 1 diffusion"]),
        ("synth", ["rigid alignment of 1 diffusion run.", "distortion of 1 diffusion run was"]),
        ("measured", ["rigid alignment of 1 diffusion run.", "field was judged for 1 diffusion"]),
    ],
)
def test_use_of_the_synthetic_fa_is_said_where_there_was_one(project, route, use):
    project.write_model()
    runs = (project.make_run("AP", route=route),) if route else ()
    for run in runs:
        project.write_run(run)
    unfinished = project.make_run("PA", route="synth") if route == "reverse-pe" else None
    session = replace(project.plan.sessions[0], dwi=(*runs, *filter(None, [unfinished])))
    text = text_of(project, replace(project.plan, sessions=(session,)))
    uses = (
        "rigid alignment of", "distortion of", "field was judged for", "the displacement of 1",
    )  # fmt: skip
    assert sum(text.count(words) for words in uses) == len(use)
    for words in use:
        assert words in text
    assert ("With the synthetic FA" in text) == (route == "synth")


def test_field_for_comparison_is_described(project):
    project.write_model()
    check = {"Route": "reverse-pe", "accepted": True, "reasons": []}
    project.write_run(project.runs[0], check=check)
    project.write_run(project.runs[1])
    text = text_of(project)
    sentence = "For 1 diffusion run, a field was also computed from an image of opposite phase"
    assert sentence in text
    assert "for comparison only and corrected nothing" in text
    assert "not believable" not in text
    project.write_run(project.runs[0], check=check | {"accepted": False, "Route": "measured"})
    text = text_of(project)
    assert "For 1 diffusion run, a field was also computed from a field map that was" in text
    assert "not believable, and not compared, for 1 of them" in text
    project.write_run(project.runs[0])
    assert "for comparison only" not in text_of(project)


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
