import hashlib
import json
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.diffusion.gradients import load_gradients
from bids_gan.distortion.unwarp import correct_series
from bids_gan.geometry import resample
from bids_gan.simulate.demo import READOUT_TIME, direction_label, scan_diffusion, write_demo
from bids_gan.simulate.person import simulate_person

RUN = "sub-01/dwi/sub-01_dir-AP"
TRUTH = Path("derivatives/truth")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo"), seed=5, t1w_spacing=2.0)


def _data(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, np.float32)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_other_seed_other_images(demo, tmp_path):
    first = _digests(demo)
    assert _digests(write_demo(tmp_path / "again", seed=5, t1w_spacing=2.0)) == first
    other = _digests(write_demo(tmp_path / "other", seed=6, t1w_spacing=2.0))
    assert other.keys() == first.keys()
    images = [name for name in first if name.endswith(".nii.gz")]
    assert all(other[name] != first[name] for name in images)


@pytest.mark.parametrize("folder", [".", "derivatives/truth"])
def test_dataset_and_truth_are_valid_bids(demo, folder):
    validator = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"
    report = subprocess.run(
        [validator, demo / folder, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(report.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_gradients_fit_the_series(demo):
    img = nib.load(demo / f"{RUN}_dwi.nii.gz")
    gradients = load_gradients(
        demo / f"{RUN}_dwi.bval", demo / f"{RUN}_dwi.bvec", n_volumes=img.shape[3]
    )
    assert (gradients.bvals == 0).sum() == 2
    assert img.ndim == 4


def test_true_field_undoes_the_distortion(demo):
    img = nib.load(demo / f"{RUN}_dwi.nii.gz")
    b0 = nib.Nifti1Image(np.asarray(img.dataobj, np.float32)[..., :2].mean(-1), img.affine)
    truth = demo / TRUTH / "sub-01"
    field = _data(truth / "fmap/sub-01_acq-truthAP_fieldmap.nii.gz")
    s0 = _data(truth / "dwi/sub-01_dir-AP_desc-truth_S0map.nii.gz")
    mask = _data(truth / "dwi/sub-01_dir-AP_desc-brain_mask.nii.gz") > 0

    def error(image: np.ndarray) -> float:
        return float(np.sqrt(np.mean((image - s0)[mask] ** 2)))

    right = correct_series(b0, field, "j-", READOUT_TIME).get_fdata()
    wrong = correct_series(b0, -field, "j-", READOUT_TIME).get_fdata()
    assert error(right) < 0.5 * error(b0.get_fdata()) < 0.5 * error(wrong)


def test_truth_of_both_grids_agrees_through_the_head_movement(demo):
    truth = demo / TRUTH / "sub-01" / "dwi"
    own = nib.load(truth / "sub-01_dir-AP_desc-truth_FA.nii.gz")
    t1w = nib.load(truth / "sub-01_space-T1w_desc-truth_FA.nii.gz")
    sidecar = truth / "sub-01_dir-AP_from-dwi_to-T1w_mode-image_xfm.json"
    matrix = np.array(json.loads(sidecar.read_text())["Matrix"])

    def moved(pull: np.ndarray) -> np.ndarray:
        return resample(
            np.asarray(t1w.dataobj), t1w.affine, own.shape, own.affine, target_to_source=pull
        )

    expected = np.asarray(own.dataobj)
    np.testing.assert_allclose(moved(matrix), expected, atol=1e-4)
    assert np.abs(moved(np.linalg.inv(matrix)) - expected).max() > 0.2


def test_fibre_directions_turn_with_the_head():
    person = simulate_person(seed=1, spacing=4.0)
    upwards = np.zeros_like(person.direction)
    upwards[..., 2] = person.mask
    scan = scan_diffusion(replace(person, direction=upwards), seed=1)
    expected = np.linalg.inv(scan.dwi_to_t1w)[:3, :3] @ (0, 0, 1)
    assert np.abs(expected[:2]).max() > 0.01
    inside = scan.direction[scan.mask]
    np.testing.assert_allclose(inside, np.broadcast_to(expected, inside.shape), atol=1e-5)


@pytest.mark.parametrize(
    ("pe_direction", "codes", "label"),
    [
        ("j-", "RAS", "AP"),
        ("j", "RAS", "PA"),
        ("i", "LAS", "RL"),
        ("i", "RAS", "LR"),
        ("k-", "RAS", "SI"),
        ("j", "LPS", "AP"),
    ],
)
def test_direction_label_names_the_anatomy(pe_direction, codes, label):
    affine = nib.orientations.inv_ornt_aff(
        nib.orientations.axcodes2ornt(tuple(codes)), (10, 10, 10)
    )
    assert direction_label(np.linalg.inv(affine), pe_direction) == label
