"""A real person, two opposite blips, each corrected on its own."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from bids_gan.bids.validate import validate

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def out(test_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("xa30")
    command = [sys.executable, "-m", "bids_gan", test_data / "xa30", folder / "out", "participant"]
    options = ["--work-dir", folder / "work", "--nprocs", "2"]
    options += ["--sdc", "synth", "--sdc-on-failure", "warn"]
    done = subprocess.run(
        [str(word) for word in command + options], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "out"


def test_derivatives_are_valid_bids(out):
    assert validate(out, derivative=True).errors == ()


@pytest.mark.parametrize("direction", ["AP", "PA"])
def test_outputs_of_each_blip(out, direction):
    dwi = out / "sub-01" / "dwi"
    for suffix in ("desc-preproc_dwi", "desc-preproc_FA", "desc-synth_FA", "desc-brain_mask"):
        image = nib.load(dwi / f"sub-01_dir-{direction}_{suffix}.nii.gz")
        assert image.shape[:3] == (72, 72, 39)
        assert np.isfinite(image.get_fdata()).all()
    found = (out / "sub-01" / "fmap").glob(f"*synthFA{direction}_desc-*_fieldmap.nii.gz")
    spread, field = sorted(path.name.partition("_desc-")[2] for path in found)[::-1]
    assert spread.startswith("std")
    quality = json.loads((dwi / f"sub-01_dir-{direction}_desc-preproc_dwi.json").read_text())
    # the name of the field says what the gate decided
    assert field.startswith("preproc") == quality["SDCQuality"]["accepted"]


def test_synthetic_fa_resembles_the_measured_one(out, test_data):
    """Better than tissue alone could explain, on the person's own geometry."""
    reference = test_data / "xa30_reference"
    mask = nib.load(reference / "evaluation_mask.nii.gz").get_fdata() > 0
    measured = nib.load(reference / "FA_corrected.nii.gz").get_fdata()[mask]
    synthetic = nib.load(out / "sub-01" / "dwi" / "sub-01_dir-PA_desc-synth_FA.nii.gz")
    assert np.corrcoef(synthetic.get_fdata()[mask], measured)[0, 1] > 0.45


def test_brain_mask_has_the_size_of_a_brain(out):
    mask = nib.load(out / "sub-01" / "anat" / "sub-01_space-T1w_desc-brain_mask.nii.gz")
    millilitres = mask.get_fdata().sum() * np.prod(mask.header.get_zooms()) / 1000
    assert 900 < millilitres < 1900


def test_report_of_the_person(out):
    assert (out / "sub-01.html").stat().st_size < 15 * 2**20
