"""The whole application on a simulated person: killed, resumed, offline, without a home."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.bids.validate import validate
from bids_gan.cli.demo import main as demo_main
from bids_gan.simulate.demo import write_demo

pytestmark = pytest.mark.slow

TARGETS = ("FA", "T2w", "FDG", "CT")

NO_NETWORK = """
import socket

class Refused(OSError):
    pass

def refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise Refused(f"a connection to {address} was tried")
    return original(self, address)

original = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = refuse
"""


class Run:
    """A dataset, its derivatives, and what the command printed."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bids = folder / "bids"
        self.out = folder / "derivatives"
        self.work = folder / "work"

    def start(self) -> subprocess.Popen:
        guard = self.folder / "guard"
        guard.mkdir(exist_ok=True)
        (guard / "sitecustomize.py").write_text(NO_NETWORK)
        command = [sys.executable, "-m", "bids_gan", self.bids, self.out, "participant"]
        command += ["--targets", *TARGETS, "--work-dir", self.work, "--nprocs", "1"]
        return subprocess.Popen(
            list(map(str, command)),
            env=os.environ | {"HOME": "/proc/nobody", "PYTHONPATH": str(guard)},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def results(self) -> dict[str, float]:
        """Time of completion of every finished node."""
        return {
            str(path.relative_to(self.work)): path.stat().st_mtime
            for path in self.work.rglob("result_*.pklz")
        }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("application"))
    write_demo(run.bids)
    for path in run.bids.glob("sub-01/dwi/*"):  # a second run
        shutil.copy(path, path.with_name(path.name.replace("sub-01_", "sub-01_acq-again_")))
    process = run.start()
    for line in process.stdout:
        if "synthesi" in line:
            break
    else:
        pytest.fail("the run ended before the synthesis")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run.before = run.results()
    run.left = [p for p in run.out.rglob("*") if p.is_file()]
    process = run.start()
    run.text, _ = process.communicate(timeout=1500)
    run.code = process.returncode
    return run


def test_finishes_offline_and_without_a_home(run):
    assert run.code == 0, run.text[-3000:]
    assert "Refused" not in run.text


def test_killed_run_left_nothing_half_written(run):
    assert run.before, "the first run had not finished any node"
    for path in run.left:
        if path.name.endswith(".nii.gz"):
            np.asarray(nib.load(path).dataobj)
        elif path.suffix == ".json":
            json.loads(path.read_text())


def test_finished_nodes_were_not_computed_again(run):
    after = run.results()
    computed = [name for name in run.before if "anatomy" in name or "synthesi" in name]
    assert computed
    assert {name: after[name] for name in computed} == {
        name: run.before[name] for name in computed
    }


def test_derivatives_are_valid_bids(run):
    assert validate(run.out, derivative=True).errors == ()


def test_correction_comes_closer_to_the_truth(run, capsys):
    assert demo_main([str(run.bids), "--compare", str(run.out)]) == 0
    print(capsys.readouterr().out)


def test_nothing_was_written_into_the_dataset(run):
    names = {p.name for p in run.bids.iterdir()}
    assert "work" not in names
    assert not list(run.bids.glob("sub-01/**/*synth*"))


def test_synthetic_images_say_so(run):
    sidecars = list(run.out.glob("sub-01/*/*desc-synth*.json"))
    assert len(sidecars) == 2 * len(TARGETS) + 2  # image and uncertainty; FA of both runs
    for path in sidecars:
        assert json.loads(path.read_text())["Synthetic"] is True


def test_every_contrast_is_in_the_units_of_its_card(run):
    mask = np.asarray(nib.load(next(run.out.glob("sub-01/anat/*desc-brain_mask.nii.gz"))).dataobj)
    for name, low, high in (
        ("dwi/*space-T1w_desc-synth_FA", 0.15, 0.45),
        ("anat/*desc-synth_T2w", 0.8, 2.5),
        ("pet/*desc-synth_pet", 0.4, 1.6),
        ("anat/*desc-synth_ct", -100, 150),
    ):
        image = np.asarray(nib.load(next(run.out.glob(f"sub-01/{name}.nii.gz"))).dataobj)
        assert low < image[mask > 0].mean() < high, name


def test_report_of_four_contrasts_and_two_runs_is_below_15_mb(run):
    pages = [run.out / "sub-01.html", *(run.out / "sub-01" / "figures").iterdir()]
    assert any("viewer" in page.name for page in pages)
    assert sum(page.stat().st_size for page in pages) < 15e6


def test_group_page(run):
    command = [sys.executable, "-m", "bids_gan", str(run.bids), str(run.out), "group"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=run.folder)
    assert done.returncode == 0, done.stderr
    assert "sub-01" in (run.out / "group_desc-sdc_qc.tsv").read_text()
    assert (run.out / "group.html").exists()
