"""Broken and hostile datasets: named and refused, or processed; nothing else is touched.

Each fault strikes sub-02 of three people; the people beside it are finished all the same, where
the fault does not hold for the whole dataset.
"""

import json
import os
import shutil

import pytest
from bids_tree import write_dataset

DWI = "sub-02/dwi/sub-02_dir-AP_dwi"
T1W = "sub-02/anat/sub-02_T1w.nii.gz"
SIDECAR = {"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}


def put(name, content):
    """A fault: a file of the dataset with other content (text, bytes or JSON)."""

    def spoil(root):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def drop(*names):
    def spoil(root):
        for name in names:
            (root / name).unlink()

    return spoil


def folder_instead(name):
    def spoil(root):
        (root / name).unlink(missing_ok=True)
        (root / name).mkdir(parents=True)

    return spoil


def link(name, target):
    def spoil(root):
        (root / name).unlink(missing_ok=True)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)

    return spoil


def bytes_in_name(root):
    with open(os.fsencode(root / "sub-02/anat") + b"/sub-02_acq-\xff_T1w.nii.gz", "w"):
        pass


def snapshot(root):
    """Everything below a folder: kind, content and target of links."""
    return {
        path: os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in root.rglob("*")
    }


@pytest.fixture
def run(app, capsys):
    """Spoil the dataset, run, and look that nothing but output and work folder was written."""

    def spoil_and_run(spoil, *options):
        spoil(app.root)
        before = snapshot(app.root)
        code = app(*options)
        out, err = capsys.readouterr()
        print(out, err)
        assert "Traceback" not in err
        assert snapshot(app.root) == before
        own = {"data", "out", "work", "log-01", "log-02", "log-03"}
        assert {path.name for path in app.tmp_path.iterdir()} <= own
        return code, out, err

    return spoil_and_run


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            put(f"{DWI}.json", {"PhaseEncodingDirection": ["j"], "TotalReadoutTime": 0.05}),
            "none of",
        ),
        (put(f"{DWI}.json", {"PhaseEncodingDirection": {"j": 1}}), "none of i, i-"),
        (put(f"{DWI}.json", {**SIDECAR, "TotalReadoutTime": "50 ms"}), "which is no number"),
        (put(f"{DWI}.json", {**SIDECAR, "TotalReadoutTime": float("nan")}), "cannot be seconds"),
        (put(f"{DWI}.json", {**SIDECAR, "TotalReadoutTime": 10**400}), "cannot be seconds"),
        (
            put(
                f"{DWI}.json",
                {
                    "PhaseEncodingDirection": "j",
                    "EffectiveEchoSpacing": 0.0005,
                    "ReconMatrixPE": "many",
                },
            ),
            "ReconMatrixPE is 'many'",
        ),
        (put(f"{DWI}.json", {**SIDECAR, "IntendedFor": {"dwi": 5}}), "IntendedFor must be a text"),
        (put(f"{DWI}.json", {**SIDECAR, "IntendedFor": [5]}), "IntendedFor must be a text"),
        (put(f"{DWI}.json", {**SIDECAR, "IntendedFor": None}), "or be left out; it is null"),
        (put(f"{DWI}.json", "[1, 2]"), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", '"text"'), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", "null"), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", "{not JSON"), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", b'{"a": "\xff"}'), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", "[" * 100_000), "sub-02_dir-AP_dwi.json"),
        (put(f"{DWI}.json", {"x": "a" * 10**8}), "PhaseEncodingDirection is missing"),
        (drop(f"{DWI}.json"), "sub-02_dir-AP_dwi.json: PhaseEncodingDirection is missing"),
        (drop(f"{DWI}.bval"), "sub-02_dir-AP_dwi.bval must lie beside it"),
        (drop(f"{DWI}.bvec"), "sub-02_dir-AP_dwi.bvec must lie beside it"),
        (put(f"{DWI}.bval", ""), "sub-02_dir-AP_dwi.bval is empty"),
        (put(f"{DWI}.bval", b"0 \xff 1000"), "does not hold numbers only"),
        (folder_instead(f"{DWI}.bval"), "sub-02_dir-AP_dwi.bval"),
        (link(f"{DWI}.bval", "/nowhere"), "sub-02_dir-AP_dwi.bval cannot be used: it is a link"),
        (link(f"{DWI}.nii.gz", "/nowhere"), "sub-02_dir-AP_dwi.nii.gz: it is a link"),
    ],
)
def test_a_diffusion_run_that_cannot_be_used_stops_nobody_else(run, app, spoil, words):
    code, out, err = run(spoil)
    assert code == 1
    assert "2 of 3 sessions finished" in out
    last = err.splitlines()[-1]
    assert last.startswith("  sub-02: ")
    assert words in last
    assert DWI.rpartition("/")[2] in last
    assert not (app.tmp_path / "log-02").exists()
    # one job a person: the others do not hear of it, and nobody can be processed in this one
    assert app("--participant-label", "01", "03") == 0
    assert app("--participant-label", "02") == 65


@pytest.mark.parametrize("content", ["{not JSON", "[1]", b"\xff", {"IntendedFor": 5}])
def test_a_broken_json_at_the_root_stops_everybody(run, app, content):
    code, _, err = run(put("dwi.json", content))
    assert code == 65
    assert "the dataset cannot be indexed: dwi.json " in err
    assert not app.output.exists()


def test_a_broken_json_in_the_folder_of_a_session_or_of_another_suffix(run, app):
    def spoil(root):
        put("sub-02/ses-a/func/sub-02_ses-a_task-rest_bold.nii.gz", "")(root)
        put("sub-02/ses-a/func/sub-02_ses-a_task-rest_bold.json", "{")(root)
        put("sub-03/anat/.hidden.json", "{")(root)

    code, _, err = run(spoil)
    assert code == 1
    assert "  sub-02: sub-02/ses-a/func/sub-02_ses-a_task-rest_bold.json is no JSON" in err
    assert "sub-03" not in err


def test_an_index_is_kept_only_when_it_is_whole(run, app):
    index = app.tmp_path / "work/index"
    sidecar = app.root / f"{DWI}.json"
    whole = sidecar.read_text()
    for label, code in (("01", 0), ("02", 65)):
        sidecar.write_text("{")
        options = ("--participant-label", label, "--bids-database-dir", str(index))
        assert app(*options) == code
    sidecar.write_text(whole)
    assert app(*options) == 0
    # in a kept index nothing is read again, but what is broken since is
    sidecar.write_text("{")
    assert app(*options) == 65
    assert app("--bids-database-dir", str(index)) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop(T1W), "sub-02: no T1w image"),
        (link(T1W, "/nowhere"), "sub-02: no T1w image"),
        (link(T1W, "sub-02_T1w.nii.gz"), "sub-02: no T1w image"),
        (folder_instead(T1W), "sub-02: no T1w image"),
    ],
)
def test_a_person_who_cannot_be_processed_stops_nobody_else(run, spoil, words):
    code, out, err = run(spoil)
    assert code == 1
    assert words in err
    assert "2 of 3 sessions finished" in out


@pytest.mark.parametrize(
    "spoil",
    [
        put("sub-02/anat/sub-02_acq-é_T1w.nii.gz", ""),
        put("sub-02/anat/sub-02 copy_T1w.nii.gz", ""),
        put("sub-02/anat/sub-02_acq-a\nb_T1w.nii.gz", ""),
        put("sub-02/anat/..T1w.nii.gz", ""),
        put("sub-02/anat/; touch ran; _T1w.nii.gz", ""),
        bytes_in_name,
        link("sub-02/anat/loop", "../.."),
        lambda root: [link(f"sub-02/anat/loop{n}", "../..")(root) for n in range(4)],
        link("sub-02/anat/outside", "/etc"),
        link("sub-02/anat/everything", "/"),
        put("sub-02/anat/sub-02_T1w.json", {"SeriesDescription": "<script>alert(1)</script>"}),
        put("code/run.py", "raise SystemExit"),
    ],
)
def test_strange_neighbours_do_no_harm(run, spoil):
    code, _, err = run(spoil)
    assert code == 0, err


@pytest.mark.parametrize("name", ["sub-<script>", "sub-..", "sub-a b", "sub-é", "sub-'; ls"])
def test_strange_people_are_refused_alone(run, app, name):
    code, out, err = run(put(f"{name}/anat/{name}_T1w.nii.gz", ""))
    assert code == 1
    assert name in err
    assert "3 of 4 sessions finished" in out


def test_person_whose_name_is_no_text(run, app):
    def spoil(root):
        os.mkdir(os.fsencode(root) + b"/sub-\xff")

    code, out, err = run(spoil)
    assert code == 1
    assert r"sub-\udcff" in err.encode("ascii", "backslashreplace").decode()
    assert "3 of 4 sessions finished" in out


def test_images_behind_links_are_processed(run, app, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "object"

    def spoil(root):
        shutil.move(root / T1W, store)
        (root / T1W).symlink_to(store)

    assert run(spoil)[0] == 0
    assert store.read_bytes() == b""


def test_sidecars_of_a_higher_level_apply(run):
    def spoil(root):
        for name in ("01", "02", "03"):
            (root / f"sub-{name}/dwi/sub-{name}_dir-AP_dwi.json").unlink()
        put("dir-AP_dwi.json", SIDECAR)(root)
        (root / f"{DWI}.bval").rename(root / "dir-AP_dwi.bval")

    assert run(spoil)[0] == 0


@pytest.mark.parametrize("folder", ["with space", "déjà vu", "дані", "a'b;c", "a%sb{0}"])
def test_any_name_of_the_dataset(app, folder):
    root = app.tmp_path / folder
    shutil.move(app.root, root)
    assert app(raw=root) == 0


@pytest.mark.parametrize("label", ["../../etc", "..", "", "0\n1", "*", "01/../02"])
def test_labels_that_are_no_labels(app, capsys, label):
    assert app("--participant-label", label) == 2
    assert "--participant-label" in capsys.readouterr().err
    assert not app.output.exists()


@pytest.mark.parametrize("content", [{}, {"participants.tsv": "participant_id\n"}])
def test_empty_dataset(app, capsys, content, tmp_path):
    root = write_dataset(tmp_path / "empty", content)
    assert app(raw=root) == 65
    assert "holds no 'sub-<label>' folder" in capsys.readouterr().err
