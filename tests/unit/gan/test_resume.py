"""A run that was killed gives the very weights of one that was not."""

import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from bids_gan.errors import DataError
from bids_gan.gan.training.checkpoint import find_checkpoints, load_checkpoint, save_checkpoint
from bids_gan.gan.training.loop import train

HERE = Path(__file__).parent


def test_killed_at_several_steps(tmp_path):
    # by dropout, noise and a replay pool; five runs in one interpreter, see killed.py
    done = subprocess.run(
        [sys.executable, HERE / "killed.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["0 -9 -9 -9 -9 0"], done.stderr
    whole, killed = (
        torch.load(tmp_path / name / "result.pt") for name in ("undisturbed", "killed")
    )
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    rows, others = (_losses(tmp_path / name / "log.csv") for name in ("undisturbed", "killed"))
    assert rows == others
    assert [row[0] for row in rows] == ["step", "5", "10", "14"]


def _losses(path):
    """Rows of a log without what depends on the clock."""
    rows = [line.split(",") for line in path.read_text().split()]
    keep = [i for i, name in enumerate(rows[0]) if name not in ("minutes", "waiting")]
    return [[row[i] for i in keep] for row in rows]


@pytest.fixture
def stopped(tmp_path):
    """A run of 15 steps with checkpoints at 10 and 15, and its result."""
    return train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, tiny.settings(15))


def test_the_last_two_are_kept(stopped, tmp_path):
    assert [path.name[:24] for path in find_checkpoints(tmp_path)] == [
        "checkpoint_step-00000010",
        "checkpoint_step-00000015",
    ]
    assert not list(tmp_path.glob("*.part"))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_truncate, _flip])
def test_damaged_checkpoint_is_named_and_the_one_before_used(stopped, tmp_path, capsys, damage):
    path = find_checkpoints(tmp_path)[-1]
    damage(path)
    seen = []

    def watched(step):
        seen.append(step)
        return tiny.batch(step)

    again = train(tiny.make_method(seed=1), watched, tiny.validation, tmp_path, tiny.settings(15))
    assert seen == [10, 11, 12, 13, 14]
    assert path.name in capsys.readouterr().err
    assert path.with_suffix(".corrupt").exists()
    tiny.assert_same(stopped, again)


def test_nothing_whole_left(tmp_path, stopped):
    for path in find_checkpoints(tmp_path):
        _flip(path)
    with pytest.raises(DataError, match="all 2 checkpoints are damaged"):
        load_checkpoint(tmp_path)


def test_checkpoint_of_another_recipe(tmp_path, stopped):
    other = tiny.make_method(critic=True)
    with pytest.raises(DataError, match="another recipe"):
        train(other, tiny.batch, tiny.validation, tmp_path, tiny.settings(20))


def test_checkpoints_of_other_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("bids_gan.gan.training.checkpoint.VERSION", 99)
    save_checkpoint(tmp_path, 1, {})
    monkeypatch.undo()
    with pytest.raises(DataError, match="version 99"):
        load_checkpoint(tmp_path)
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(DataError, match=r"checkpoint\.pt: written by an older version"):
        load_checkpoint(tmp_path)


def test_finished_run_is_not_trained_further(stopped, tmp_path):
    def none(step):
        raise AssertionError(step)

    again = train(tiny.make_method(seed=1), none, tiny.validation, tmp_path, tiny.settings(15))
    tiny.assert_same(stopped, again)


def test_rows_after_the_checkpoint_are_dropped(stopped, tmp_path):
    find_checkpoints(tmp_path)[-1].unlink()
    with (tmp_path / "log.csv").open("a") as stream:
        stream.write("15,half a ro")
    train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, tiny.settings(15))
    assert [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().split()] == [
        "step",
        "5",
        "10",
        "15",
    ]
