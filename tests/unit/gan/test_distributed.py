"""Two processes that share a batch learn what one does with the whole of it."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from bids_gan.errors import UsageError
from bids_gan.gan.training import distributed

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs in one and in two processes, fp32; eleven processes, one interpreter."""
    folder = tmp_path_factory.mktemp("together")
    done = subprocess.run(
        [sys.executable, HERE / "together.py", folder], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["0 00 00 00 00 11"], done.stderr
    return folder


def losses(folder):
    with (folder / "log.csv").open() as stream:
        return [
            {k: float(v) for k, v in row.items() if v and k not in ("minutes", "waiting")}
            for row in csv.DictReader(stream)
        ]


def test_loss_curve_of_one_process_with_twice_the_batch(runs):
    one, two = losses(runs / "one"), losses(runs / "two")
    assert len(one) == 6
    assert "critic" in one[-1]
    for a, b in zip(one, two, strict=True):
        # the same sums of float32 in another order
        assert b == pytest.approx(a, rel=1e-4, abs=1e-4)


def test_processes_hold_the_same_weights(runs):
    """Buffers included: running statistics and the vectors of the spectral norm."""
    for name in ("two", "noisy", "noisy-stopped"):
        a, b = (torch.load(runs / name / f"result-{rank}.pt") for rank in (0, 1))
        assert any("running_mean" in key for key in a)
        assert any("_u" in key for key in a)
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_resumed_in_two_processes(runs):
    """Each process finds its own noise and its own replay pool again."""
    whole = torch.load(runs / "noisy" / "result-0.pt")
    resumed = torch.load(runs / "noisy-stopped" / "result-0.pt")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_only_the_first_writes(runs):
    names = {path.name.split("_")[0] for path in (runs / "two").iterdir()}
    assert names == {"log.csv", "checkpoint", "result-0.pt", "result-1.pt"}


def test_nan_in_one_share_stops_both(runs):
    assert {path.name for path in (runs / "nan").glob("*.safetensors")} == {
        "notfinite_step-00000000_rank-0.safetensors",
        "notfinite_step-00000000_rank-1.safetensors",
    }


def test_batch_that_cannot_be_dealt(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(UsageError, match="a batch of 2 cannot be dealt to 3 processes"):
        distributed.share_of_batch(tiny.batch(0))
