"""What is made of a dataset: names, sidecars, what is kept, what is refused, and nothing else."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from bids_tree import write_dataset
from tiny_person import CONTRASTS, write_model

from bids_gan.bids.validate import validate
from bids_gan.cli.model import main
from bids_gan.imputation import align, dataset


@pytest.fixture
def raw(tmp_path, person, monkeypatch):
    """Three people who lack different contrasts, one who lacks none, and one who has none."""
    monkeypatch.setattr(dataset, "prepare_anatomy", lambda *_, **__: person.anatomy)
    monkeypatch.setattr(align, "register_to_t1w", lambda *_: np.eye(4))
    have = {
        "01": ("T1w", "T2w", "PDw"),
        "02": ("T2w",),
        "03": CONTRASTS,
        "04": (),
    }
    content = {"participants.tsv": "participant_id\n" + "".join(f"sub-{p}\n" for p in have)}
    for label, contrasts in have.items():
        content[f"sub-{label}/beh/sub-{label}_task-x_beh.json"] = {"TaskName": "x"}
        for contrast in contrasts:
            content[f"sub-{label}/anat/sub-{label}_{contrast}.nii.gz"] = person.image(contrast)
    return write_dataset(tmp_path / "raw", content)


@pytest.fixture
def impute(raw, card, capsys):
    """Run the command; returns its exit code, what it said and what it warned of."""

    def run(*options, model=card.path):
        output = raw.parent / "out"
        code = main(["impute", str(raw), str(output), "--model", str(model), *options])
        return code, *capsys.readouterr()

    return run


def images(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob("sub-*/**/*.nii.gz"))


def test_what_is_missing_is_made_and_nothing_else(impute, raw, card, person):
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    code, said, _ = impute("--participant-label", "01", "sub-02", "03")
    assert code == 0
    out = raw.parent / "out"
    assert images(out) == [
        "sub-01/anat/sub-01_space-T1w_desc-synth_FLAIR.nii.gz",
        "sub-02/anat/sub-02_space-T2w_desc-synth_FLAIR.nii.gz",
        "sub-02/anat/sub-02_space-T2w_desc-synth_PDw.nii.gz",
        "sub-02/anat/sub-02_space-T2w_desc-synth_T1w.nii.gz",
    ]
    assert "sub-01: made FLAIR from T1w, T2w, PDw" in said
    assert "sub-03: nothing is missing, there are T1w, T2w, PDw, FLAIR" in said
    assert {path: path.stat().st_mtime_ns for path in raw.rglob("*")} == before
    assert sorted(path.name for path in raw.parent.iterdir()) == ["out", "raw"]
    made = nib.load(out / images(out)[0])
    np.testing.assert_array_equal(made.affine, person.anatomy.affine)
    assert made.shape == person.anatomy.mask.shape
    data = made.get_fdata()
    assert (data[person.anatomy.mask] > 0).mean() > 0.99
    assert not data[~person.anatomy.mask].any()
    sidecar = json.loads((out / images(out)[0].replace(".nii.gz", ".json")).read_text())
    assert sidecar["Synthetic"] is True
    assert sidecar["NotForDiagnosis"] is True
    assert sidecar["WeightsSHA256"] == card.sha256
    assert sidecar["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert sidecar["Sources"] == [
        f"bids:raw:sub-01/anat/sub-01_{contrast}.nii.gz" for contrast in ("T1w", "T2w", "PDw")
    ]
    assert "from T1w, T2w, PDw" in sidecar["Description"]
    assert "not a measurement" in sidecar["Description"]
    assert validate(out, derivative=True).errors == ()


def test_only_what_is_wanted(impute, raw):
    assert impute("--participant-label", "02", "--wanted", "FLAIR", "T2w")[0] == 0
    assert images(raw.parent / "out") == ["sub-02/anat/sub-02_space-T2w_desc-synth_FLAIR.nii.gz"]


def test_nothing_missing_is_no_error_and_leaves_nothing(impute, raw):
    code, said, _ = impute("--participant-label", "03")
    assert code == 0
    assert "nothing is missing" in said
    assert not (raw.parent / "out").exists()


def test_person_without_any_is_named_and_the_others_are_finished(impute, raw):
    code, _, error = impute("--participant-label", "01", "04")
    assert code == 1
    assert "sub-04: none of T1w, T2w, PDw, FLAIR is there" in error
    assert len(images(raw.parent / "out")) == 1


def test_second_call_keeps_what_is_there_until_a_scan_is_added(impute, raw, person, monkeypatch):
    impute("--participant-label", "02", "--wanted", "FLAIR")
    (path,) = (raw.parent / "out").glob("sub-02/anat/*.nii.gz")
    first = path.stat().st_mtime_ns
    code, said, _ = impute("--participant-label", "02", "--wanted", "FLAIR")
    assert code == 0
    assert "FLAIR was made before" in said
    assert path.stat().st_mtime_ns == first
    person.image("PDw").to_filename(raw / "sub-02/anat/sub-02_PDw.nii.gz")
    assert (
        "made FLAIR from T2w, PDw" in impute("--participant-label", "02", "--wanted", "FLAIR")[1]
    )
    assert path.stat().st_mtime_ns > first


def test_what_is_out_of_date_is_named(impute, raw, person):
    impute("--participant-label", "02", "--wanted", "FLAIR", "PDw")
    for contrast in ("T1w", "PDw"):
        person.image(contrast).to_filename(raw / f"sub-02/anat/sub-02_{contrast}.nii.gz")
    code, _, warned = impute("--participant-label", "02", "--wanted", "FLAIR")
    assert code == 0
    assert "sub-02_space-T2w_desc-synth_FLAIR.nii.gz is out of date, remove it: T1w is" in warned
    assert "sub-02_space-T2w_desc-synth_PDw.nii.gz is out of date, remove it: PDw is" in warned
    assert len(images(raw.parent / "out")) == 3  # nothing was deleted
    assert "out of date" not in impute("--participant-label", "01")[2]


def test_image_of_another_model_is_not_replaced(impute, raw, tmp_path):
    impute("--participant-label", "02", "--wanted", "FLAIR")
    other = write_model(tmp_path / "other", contrasts=("T2w", "FLAIR"))
    code, _, error = impute("--participant-label", "02", model=other.path)
    assert code == 2
    assert "desc-synth_FLAIR.nii.gz was made by another model (tiny" in error


def test_image_with_an_agent_is_warned_of(impute, raw, person):
    name = "sub-02_ce-gadolinium_T1w.nii.gz"
    person.image("T1w").to_filename(raw / "sub-02/anat" / name)
    code, said, warned = impute("--participant-label", "02", "--wanted", "FLAIR")
    assert code == 0
    assert f"sub-02: warning: {name} is not used: a contrast agent was given" in warned
    assert "made FLAIR from T2w:" in said


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--wanted", "T1ce"], 2, "--wanted T1ce: what a contrast agent shows"),
        (["--wanted", "CT"], 2, "--wanted accepts T1w, T2w, PDw, FLAIR"),
        (["--participant-label", "99"], 2, "99 not in the dataset"),
        (["--model", "t1w-to-fa"], 69, "t1w-to-fa makes FA from T1w, position; impute needs"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_written(
    impute, raw, options, code, message
):
    found, _, error = impute(*options)
    assert found == code
    assert message in error
    assert not (raw.parent / "out").exists()


def test_raw_dataset_is_no_output(raw, card, capsys):
    assert main(["impute", str(raw), str(raw), "--model", str(card.path)]) == 2
    assert "holds another dataset" in capsys.readouterr().err


@pytest.mark.parametrize("held", ["sub-01", "sub-02"])
def test_people_on_whom_another_run_is_at_work_are_refused(impute, raw, held):
    logs = raw.parent / "out/logs"
    logs.mkdir(parents=True)
    holder = (
        "import sys\nfrom pathlib import Path\nfrom bids_gan.cli.lock import hold\n"
        "with hold(Path(sys.argv[1]), [sys.argv[2]], 'OUTPUT_DIR'):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", holder, str(logs), held]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        code, _, warned = impute("--participant-label", "01")
        other.stdin.close()
    if held == "sub-01":
        assert code == 2
        assert "at work on sub-01 in OUTPUT_DIR" in warned
        assert not images(raw.parent / "out")
    else:
        assert code == 0
        assert images(raw.parent / "out")


def test_what_a_killed_call_left_half_written_is_removed(impute, raw):
    folder = raw.parent / "out/sub-01/anat"
    folder.mkdir(parents=True)
    part = folder / f".{'0' * 32}_sub-01_space-T1w_desc-synth_FLAIR.nii.gz"
    part.touch()
    assert impute("--participant-label", "01")[0] == 0
    assert not part.exists()
