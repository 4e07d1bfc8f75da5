"""The real workflow on people whose T1w is damaged, each in another way."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bids_tree import write_dataset

pytestmark = pytest.mark.slow

SHAPE = (20, 20, 20)


def scan(shape=SHAPE, value=None):
    data = np.random.default_rng(0).random(shape, dtype=np.float32)
    if value is not None:
        data[3, 4, 5] = value
    return nib.Nifti1Image(data, np.eye(4))


def write_cut(path):
    scan().to_filename(path)
    path.write_bytes(path.read_bytes()[:-5000])


def write_claim(path):
    """A header of 10^12 voxels before few of them."""
    scan().to_filename(path)
    image = nib.load(path)
    image.header["dim"][1:4] = 10_000
    with nib.openers.Opener(path, "wb") as stream:
        image.header.write_to(stream)
        stream.write(bytes(5000))


def write_zero_zooms(path):
    image = scan()
    image.header["pixdim"][1:4] = 0
    with nib.openers.Opener(path, "wb") as stream:
        image.header.write_to(stream)
        stream.write(bytes(4))
        stream.write(np.asarray(image.dataobj).tobytes("F"))


#: person -> how the T1w is written, and a word of the refusal
FAULTS = {
    "cut": (write_cut, "damaged or cut short"),
    "claim": (write_claim, "the header claims"),
    "zooms": (write_zero_zooms, "voxel sizes of [0.0, 0.0, 0.0] mm"),
    "nan": (lambda path: scan(value=np.nan).to_filename(path), "NaN or infinite"),
    "infinite": (lambda path: scan(value=np.inf).to_filename(path), "NaN or infinite"),
    "series": (lambda path: scan((*SHAPE, 3)).to_filename(path), "shape (20, 20, 20, 3)"),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    names = [f"sub-{label}/anat/sub-{label}_T1w.nii.gz" for label in FAULTS]
    root = write_dataset(folder / "data", dict.fromkeys(names))
    for name, (write, _) in zip(names, FAULTS.values(), strict=True):
        write(root / name)
    command = [sys.executable, "-m", "bids_gan", root, folder / "out", "participant"]
    command += ["--skip-bids-validation", "--nprocs", "1", "--work-dir", folder / "work"]
    run = subprocess.run(
        list(map(str, command)), env=os.environ, cwd=folder, capture_output=True, text=True
    )
    print(run.stdout, run.stderr)
    run.folder = folder
    return run


def test_nobody_is_finished_and_the_data_are_to_blame(done):
    assert "0 of 6 sessions finished" in done.stdout
    assert done.returncode == 65


@pytest.mark.parametrize("label", FAULTS)
def test_damaged_t1w_is_named_with_its_crash_file(done, label):
    lines = done.stderr.splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.startswith(f"  sub-{label}: DataError:")]
    assert f"sub-{label}_T1w.nii.gz" in lines[place]
    assert FAULTS[label][1] in lines[place]
    crash = lines[place + 1].removeprefix("    details: ")
    assert f"sub-{label}_T1w.nii.gz" in Path(crash).read_text()


def test_nothing_is_left_of_the_damaged(done):
    out = done.folder / "out"
    assert not list(out.rglob("*.nii*"))
    assert not list(out.rglob(f".{'[0-9a-f]' * 32}_*"))
