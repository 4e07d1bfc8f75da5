import hashlib
import json
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from head_map import save_head_map

from bids_gan.cli.model import main
from bids_gan.distortion.unwarp import correct_series
from bids_gan.errors import DataError, ProcessingError, UsageError
from bids_gan.simulate import dataset
from bids_gan.simulate.dataset import simulate_dataset
from bids_gan.simulate.scans import CONTRASTS, Request

REQUEST = Request(seed=3, contrasts=CONTRASTS, spacing=3.0, artefacts=0.5)
TRUTH = Path("derivatives/truth")


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    save_head_map(folder, "head_01.nii.gz")
    save_head_map(folder, "head_02.nii.gz")
    return folder


@pytest.fixture(scope="module")
def made(maps, tmp_path_factory):
    return simulate_dataset(maps, tmp_path_factory.mktemp("made"), 3, REQUEST)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def data(path):
    return np.asarray(nib.load(path).dataobj, np.float32)


def test_same_seed_same_bytes_however_many_processes(made, maps, tmp_path):
    # each process starts Python and torch anew, which is what takes the time here
    again = simulate_dataset(maps, tmp_path, 3, replace(REQUEST, contrasts=("T1w",)), jobs=2)
    images = [path.relative_to(again) for path in sorted(again.rglob("*.nii.gz"))]
    assert len(images) == 3 * (1 + 6)
    assert all((again / name).read_bytes() == (made / name).read_bytes() for name in images)
    assert (again / "participants.tsv").read_bytes() == (made / "participants.tsv").read_bytes()


def test_other_seed_other_images(made, maps, tmp_path):
    other = simulate_dataset(maps, tmp_path, 1, replace(REQUEST, seed=4))
    before, after = digests(made), digests(other)
    images = [name for name in after if name.endswith(".nii.gz")]
    assert len(images) == 17
    assert all(before[name] != after[name] for name in images)


def test_fewer_contrasts_do_not_change_the_others(made, maps, tmp_path):
    few = simulate_dataset(maps, tmp_path, 1, replace(REQUEST, contrasts=("PDw",)))
    name = "sub-0001/anat/sub-0001_PDw.nii.gz"
    assert (few / name).read_bytes() == (made / name).read_bytes()
    assert not (few / "sub-0001/anat/sub-0001_T1w.nii.gz").exists()


@pytest.mark.parametrize("folder", [".", TRUTH])
def test_dataset_and_truth_are_valid_bids(made, folder):
    validator = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"
    report = subprocess.run(
        [validator, made / folder, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(report.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_every_scan_says_that_it_is_simulated(made):
    sidecars = list(made.rglob("sub-*.json"))
    assert len(sidecars) == len(list(made.rglob("sub-*.nii.gz"))) > 40
    assert all(json.loads(p.read_text())["Simulated"] is True for p in sidecars)
    flair = json.loads((made / "sub-0001/anat/sub-0001_FLAIR.json").read_text())
    assert 1.5 < flair["InversionTime"] < 3.5 < flair["RepetitionTime"]
    assert flair["SimulatedArtefacts"]["BiasField"] > 0


def test_people_stand_in_the_table(made):
    rows = (made / "participants.tsv").read_text().splitlines()
    assert rows[0] == "participant_id\tlabel_map\tfield_strength"
    assert [row.split("\t")[1] for row in rows[1:]] == [
        "head_01.nii.gz",
        "head_02.nii.gz",
        "head_01.nii.gz",
    ]
    t1w = json.loads((made / "sub-0002/anat/sub-0002_T1w.json").read_text())
    assert float(rows[2].split("\t")[2]) == t1w["MagneticFieldStrength"]


def test_true_field_undoes_the_distortion_of_both_blips(made):
    folder, truth = made / "sub-0001/fmap", made / TRUTH / "sub-0001/fmap"
    hz = data(truth / "sub-0001_acq-truth_fieldmap.nii.gz")
    b0 = data(truth / "sub-0001_acq-truth_magnitude.nii.gz")
    inside = b0 > 0.3 * b0.max()
    for direction in ("AP", "PA"):
        stem = folder / f"sub-0001_dir-{direction}_epi"
        sidecar = json.loads(stem.with_suffix(".json").read_text())
        img = nib.load(stem.with_suffix(".nii.gz"))
        keys = ("PhaseEncodingDirection", "TotalReadoutTime")
        pe, readout = (sidecar[key] for key in keys)
        right, wrong = (
            np.asarray(correct_series(img, sign * hz, pe, readout).dataobj) for sign in (1, -1)
        )
        errors = [np.abs(image - b0)[inside].mean() for image in (right, img.get_fdata(), wrong)]
        assert errors[0] < 0.7 * errors[1] < 0.7 * errors[2]


def test_a_killed_run_continues_and_whole_people_are_kept(made, maps, tmp_path):
    out = simulate_dataset(maps, tmp_path, 1, REQUEST)
    kept = (out / "sub-0001/anat/sub-0001_T1w.nii.gz").stat().st_mtime_ns
    (out / ".sub-0002.part/raw").mkdir(parents=True)  # what a killed process leaves
    simulate_dataset(maps, tmp_path, 3, REQUEST)
    assert (out / "sub-0001/anat/sub-0001_T1w.nii.gz").stat().st_mtime_ns == kept
    assert digests(out) == digests(made)


def test_other_settings_in_the_same_folder_are_refused(made, maps):
    with pytest.raises(UsageError, match=r"simulation.json: this folder was begun with .*seed"):
        simulate_dataset(maps, made, 4, replace(REQUEST, seed=9))
    assert not (made / "sub-0004").exists()


def test_one_failure_does_not_lose_the_others(maps, tmp_path, monkeypatch):
    real = dataset.write_person

    def fails_once(raw, *rest):
        if raw.name == "sub-0001":
            raise OSError("disk full")
        real(raw, *rest)

    monkeypatch.setattr(dataset, "write_person", fails_once)
    small = replace(REQUEST, contrasts=("T1w",))
    with pytest.raises(ProcessingError, match="1 of 2 people failed; sub-0001: OSError: disk"):
        simulate_dataset(maps, tmp_path, 2, small)
    assert (tmp_path / "sub-0002").exists()
    assert not (tmp_path / "sub-0001").exists()


def _map(folder, array, voxel=1.0):
    folder.mkdir(exist_ok=True)
    img = nib.Nifti1Image(array, None)
    img.header["pixdim"][1:4] = voxel
    img.header["qform_code"] = 1
    nib.save(img, folder / "bad.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("shape", "voxel", "message"),
    [
        ((4, 4), 1.0, "has 3 dimensions, this one 2"),
        ((4, 4, 4, 2), 1.0, "has 3 dimensions, this one 4"),
        ((4, 4, 4), 2.0, "1 mm is needed"),
        ((4, 4, 4), 0.0, "header states voxel sizes"),
    ],
)
def test_label_maps_of_another_kind_are_named(tmp_path, shape, voxel, message):
    folder = _map(tmp_path / "maps", np.zeros(shape, np.int16), voxel)
    with pytest.raises(DataError, match=rf"bad.nii.gz: .*{message}"):
        simulate_dataset(folder, tmp_path / "out", 1, REQUEST)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((9, 9, 9), 2, np.int16), r"bad.nii.gz: labels \[8.*are missing"),
        (np.full((9, 9, 9), 499, np.int16), r"bad.nii.gz: labels .*499.* are not known"),
        (np.zeros((9, 9, 9), np.int16), r"bad.nii.gz: the mask is empty"),
    ],
)
def test_label_maps_without_a_brain_are_named(tmp_path, array, message):
    folder = _map(tmp_path / "maps", array)
    with pytest.raises(ProcessingError, match=message):
        simulate_dataset(folder, tmp_path / "out", 1, REQUEST)
    assert not list((tmp_path / "out").glob("sub-*"))


def test_command_line(maps, tmp_path, capsys):
    command = ["simulate", str(maps), str(tmp_path / "out"), "--people", "1", "--spacing", "3"]
    assert main([*command, "--contrasts", "T1w", "CT", "--seed", "1"]) == 0
    assert (tmp_path / "out/sub-0001/anat/sub-0001_T1w.nii.gz").exists()
    assert (tmp_path / "out" / TRUTH / "sub-0001/ct/sub-0001_ct.nii.gz").exists()
    assert main([*command, "--contrasts", "T1"]) == 2
    assert "choose from T1w, T2w" in capsys.readouterr().err
    assert main(["simulate", str(tmp_path / "nothing"), str(tmp_path / "out")]) == 65
    assert "no label maps" in capsys.readouterr().err
