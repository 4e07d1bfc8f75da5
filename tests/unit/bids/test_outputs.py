"""Names, sidecars, atomic writing, and the validator's word on all of it."""

import errno
import json
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pytest
from bids_tree import write_dataset

from bids_gan.bids import outputs as module
from bids_gan.bids.description import write_description
from bids_gan.bids.outputs import (
    bids_uri,
    expected_outputs,
    missing_outputs,
    output_path,
    outputs,
    sidecar,
    write_output,
    write_whole,
)
from bids_gan.bids.plan import DiffusionRun, SessionPlan, T1wChoice
from bids_gan.bids.route import Route
from bids_gan.bids.validate import validate
from bids_gan.errors import UsageError, explain
from bids_gan.settings import Settings

FULL = {
    "subject": "01",
    "session": "a",
    "acquisition": "b3",
    "direction": "AP",
    "run": "02",
}


@pytest.fixture
def settings(tmp_path):
    raw = write_dataset(tmp_path / "raw", {"sub-01/anat/sub-01_T1w.nii.gz": None})
    return Settings(raw, tmp_path / "derivatives", derivatives=(("old", tmp_path / "old"),))


def session_plan(settings, *routes):
    runs = tuple(
        DiffusionRun(
            path=settings.bids_dir / "x",
            bval=Path("x"),
            bvec=Path("x"),
            sidecar=None,
            entities={"subject": "01", "direction": direction},
            pe_direction="j",
            pe_source="",
            readout_time=0.05,
            readout_source="",
            correction=Route(route, ""),
        )
        for route, direction in zip(routes, ("AP", "PA"), strict=False)
    )
    t1w = T1wChoice(settings.bids_dir / "sub-01/anat/sub-01_T1w.nii.gz", "")
    return SessionPlan("01", None, t1w, runs)


@pytest.mark.parametrize(
    ("key", "entities", "path"),
    [
        ("synth_fa", {"subject": "01"}, "sub-01/dwi/sub-01_space-T1w_desc-synth_FA.nii.gz"),
        (
            "dwi",
            FULL,
            "sub-01/ses-a/dwi/sub-01_ses-a_acq-b3_dir-AP_run-02_desc-preproc_dwi.nii.gz",
        ),
        (
            "fieldmap",
            FULL,
            "sub-01/ses-a/fmap/sub-01_ses-a_acq-synthFAb3AP_run-02_desc-preproc_fieldmap.nii.gz",
        ),
        (
            "fieldmap_rejected",
            {"subject": "01", "direction": "AP"},
            "sub-01/fmap/sub-01_acq-synthFAAP_desc-rejected_fieldmap.nii.gz",
        ),
        ("report", FULL, "sub-01.html"),
        ("citation", {}, "logs/CITATION.md"),
    ],
)
def test_names(key, entities, path):
    assert output_path(key, entities) == PurePosixPath(path)


def test_figure_name():
    path = output_path(
        "figure_run", {"subject": "01", "direction": "AP"}, what="sdc", suffix="dwi"
    )
    assert path == PurePosixPath("sub-01/figures/sub-01_dir-AP_desc-sdc_dwi.svg")


@pytest.mark.parametrize(
    "entities", [{"subject": "../x"}, {"subject": ""}, {"subject": "01", "echo": "1"}]
)
def test_no_name_leaves_the_folder(entities):
    with pytest.raises(ValueError, match=r"BIDS label|none of"):
        output_path("synth_fa", entities)


def test_every_entry_is_described():
    for key, spec in outputs().items():
        assert spec["description"].endswith("."), key
        assert spec["scope"] in ("session", "run", "dataset", "report", "impute"), key
        is_synthetic = "synth" in spec["pattern"].split("desc-")[-1]
        assert spec.get("synthetic", False) == is_synthetic, key


def test_expected_follow_route_and_space(settings):
    def names(plan, **given):
        return {
            path.name
            for paths in expected_outputs(
                plan, Settings(settings.bids_dir, settings.output_dir, **given)
            )
            for path in paths
        }

    corrected = names(session_plan(settings, "synth"))
    assert "sub-01_acq-synthFAAP_desc-preproc_fieldmap.nii.gz" in corrected
    assert "sub-01_acq-synthFAAP_desc-rejected_fieldmap.nii.gz" in corrected
    by_pair = names(session_plan(settings, "reverse-pe"))
    assert "sub-01_acq-reversePEAP_desc-preproc_fieldmap.nii.gz" in by_pair
    assert len(by_pair) == len(corrected)
    uncorrected = names(session_plan(settings, "none"))
    assert not [name for name in uncorrected if "fieldmap" in name or "from-orig" in name]
    assert "sub-01_dir-AP_desc-preproc_FA.nii.gz" in uncorrected
    assert names(session_plan(settings)) == {
        "sub-01_space-T1w_desc-brain_mask.nii.gz",
        "sub-01_space-T1w_dseg.nii.gz",
        "sub-01_space-T1w_desc-synth_FA.nii.gz",
        "sub-01_space-T1w_desc-synthStd_FA.nii.gz",
        "sub-01.html",
    }
    added = names(session_plan(settings, "synth"), output_spaces=("T1w",)) - corrected
    assert added == {"sub-01_dir-AP_space-T1w_desc-preproc_FA.nii.gz"}


def test_sidecar(settings):
    t1w = settings.bids_dir / "sub-01/anat/sub-01_T1w.nii.gz"
    content = sidecar("synth_fa", settings, sources=[t1w], reference=t1w, Model="m")
    assert content["Synthetic"] is True
    assert content["SkullStripped"] is True
    assert content["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert content["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert content["GeneratedBy"][0]["Name"] == "bids-gan"
    assert content["Model"] == "m"
    assert "Synthetic" not in sidecar("fa", settings)
    assert sidecar("fieldmap", settings)["Units"] == "Hz"
    assert sidecar("brain_mask_dwi", settings)["Type"] == "Brain"
    with pytest.raises(ValueError, match="reference"):
        sidecar("synth_fa", settings)


def test_uris(settings):
    assert bids_uri(settings.output_dir / "a/b", settings) == "bids::a/b"
    assert bids_uri(settings.derivatives[0][1] / "m", settings) == "bids:old:m"
    with pytest.raises(ValueError, match="lies in none of"):
        bids_uri(Path("/elsewhere/x"), settings)


def write_run(settings, key, content, entities=None):
    entities = entities or {"subject": "01", "direction": "AP"}
    t1w = settings.bids_dir / "sub-01/anat/sub-01_T1w.nii.gz"
    beside = outputs()[key].get("sidecar", True)
    metadata = sidecar(key, settings, sources=[t1w], reference=t1w) if beside else None
    return write_output(key, entities, content, settings, metadata=metadata)


def image(*shape):
    return nib.Nifti1Image(np.ones(shape, np.float32), np.eye(4))


def test_written_image_has_its_sidecar(settings):
    path = write_run(settings, "fa", image(3, 3, 3))
    assert nib.load(path).shape == (3, 3, 3)
    assert json.loads(path.with_name("sub-01_dir-AP_desc-preproc_FA.json").read_text())
    with pytest.raises(ValueError, match="give metadata"):
        write_output("fa", {"subject": "01"}, image(3, 3, 3), settings)


def test_failed_writing_leaves_the_old_file_and_no_part(settings, monkeypatch):
    path = write_run(settings, "bval", "0 1000\n")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(module.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_run(settings, "bval", "new")
    assert path.read_text() == "0 1000\n"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_judgement_of_the_field_is_not_left_twice(settings):
    accepted = write_run(settings, "fieldmap", image(3, 3, 3))
    rejected = write_run(settings, "fieldmap_rejected", image(3, 3, 3))
    assert rejected.exists()
    assert not accepted.exists()
    assert not list(accepted.parent.glob("*desc-preproc*"))


def write_all(settings, plan):
    """Write everything that `expected_outputs` names, with as little in it as will do."""
    rows = {"bval": "0 1000 1000\n", "bvec": "0 1 0\n" * 3}
    for key, spec in outputs().items():
        if key == "fieldmap_rejected" or spec["scope"] in ("report", "impute"):
            continue
        units = {
            "session": [plan.entities],
            "dataset": [{}],
            "run": [r.entities for r in plan.dwi],
        }
        for entities in units[spec["scope"]]:
            name = spec["pattern"]
            content = image(3, 3, 3, 3) if key == "dwi" else image(3, 3, 3)
            if not name.endswith(".nii.gz"):
                content = {"a": 1} if name.endswith(".json") else rows.get(key, "text\n")
            write_run(settings, key, content, entities or {"subject": "01"})


def test_all_outputs_together_satisfy_the_validator(settings):
    settings = Settings(settings.bids_dir, settings.output_dir, output_spaces=("dwi", "T1w"))
    plan = session_plan(settings, "synth", "synth")
    assert len(missing_outputs(plan, settings)) == len(expected_outputs(plan, settings))
    write_description(settings)
    write_all(settings, plan)
    figure = {"subject": "01", "direction": "AP"}
    write_output("figure_run", figure, "<svg/>", settings, what="sdc", suffix="dwi")
    for key, route in (("fieldmap_check", "measured"), ("fieldmap_std", "synth")):  # no magnitude
        about = {"metadata": sidecar(key, settings), "route": route}
        write_output(key, figure, image(3, 3, 3), settings, **about)
    settings.log_dir.mkdir(parents=True)
    settings.to_toml(settings.log_dir / "bids-gan.toml")
    (settings.log_dir / "crash-x.txt").write_text("x")
    (settings.output_dir / "sub-01/dwi/.0123_part_of_a_killed_run.nii.gz").write_text("x")
    assert missing_outputs(plan, settings) == []
    assert validate(settings.output_dir, derivative=True).errors == ()
    # and it would tell: a file that is no output
    (settings.output_dir / "sub-01/dwi/sub-01_FAmap.nii.gz").write_text("x")
    errors = validate(settings.output_dir, derivative=True).errors
    assert any("sub-01_FAmap.nii.gz" in error for error in errors)


def test_description(settings):
    write_description(settings)
    content = json.loads((settings.output_dir / "dataset_description.json").read_text())
    assert content["DatasetType"] == "derivative"
    assert content["GeneratedBy"][0]["Name"] == "bids-gan"
    links = content["DatasetLinks"]
    assert (settings.output_dir / links["raw"]).resolve() == settings.bids_dir.resolve()
    assert (settings.output_dir / links["old"]).resolve() == settings.derivatives[0][1].resolve()
    write_description(settings)  # our own folder is taken again


@pytest.mark.parametrize("makers", [None, 5, ["bids-gan"], [{"Name": "other"}]])
def test_folder_of_another_dataset_is_refused(settings, makers):
    about = {"dataset_description.json": {"GeneratedBy": makers}} if makers else {}
    write_dataset(settings.output_dir, about)
    with pytest.raises(UsageError, match="holds another dataset"):
        write_description(settings)


def test_file_that_found_no_room_is_named(tmp_path):
    def write(part):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as error:
        write_whole(tmp_path / "x.json", write)
    known = explain(error.value, {"OUTPUT_DIR": tmp_path})
    assert str(known).startswith(f"{tmp_path}/x.json: no space left")
    assert known.exit_code == 75
    assert not list(tmp_path.iterdir())
