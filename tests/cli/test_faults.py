"""What the machine, the file system or the user does to a run: nothing is lost, all is said.

docs/reliability.md names the tests of this file.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import numpy as np
import pytest

from bids_gan.models.registry import find_card

N_KILLS = 20
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of unshare(2)
FORK = multiprocessing.get_context("fork")


def exit_code(run, before=lambda: None, *options):
    """Run the application in a process of its own after ``before()``."""

    def target():
        # a server of processes that an earlier test started is no child of this process
        forkserver._forkserver.__init__()
        before()
        os._exit(run(*options))

    process = FORK.Process(target=target)
    process.start()
    process.join()
    return process.exitcode


def log(app, label):
    path = app.tmp_path / f"log-{label}"
    return path.read_text().split() if path.exists() else []


def written(app):
    """Content of all files outside of the log folder."""
    return {
        path.relative_to(app.output).as_posix(): path.read_bytes()
        for path in app.output.rglob("*")
        if path.is_file() and "logs" not in path.relative_to(app.output).parts
    }


def test_killed_at_random_moments(app, behaviours):
    behaviours.update({"01": "slow", "02": "slow", "03": "slow"})
    start = time.monotonic()
    assert exit_code(app) == 0
    seconds = time.monotonic() - start
    undisturbed = written(app)
    for name in ("out", "work"):
        subprocess.run(["rm", "-r", app.tmp_path / name], check=True)
    for label in ("01", "02", "03"):
        (app.tmp_path / f"log-{label}").unlink()
    rng = np.random.default_rng(0)
    halves = 0
    for _ in range(N_KILLS):
        process = FORK.Process(target=lambda: os._exit(app()))
        process.start()
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.join()
        # what has its name is whole
        halves += any(name.split("/")[-1].startswith(".") for name in written(app))
        for name, content in written(app).items():
            assert name.split("/")[-1].startswith(".") or content == undisturbed[name], name
    assert exit_code(app) == 0
    assert written(app) == undisturbed
    print(f"{halves} of {N_KILLS} killed runs left a hidden part; none is left at the end")


def test_finished_people_are_not_computed_again_after_a_kill(app, behaviours):
    behaviours["02"] = "killed"  # one process: the run itself dies
    assert exit_code(app) == -signal.SIGKILL
    assert log(app, "01") == ["ran", "wrote"]
    behaviours["02"] = ""
    assert exit_code(app) == 0
    assert log(app, "01") == ["ran", "wrote"]
    assert log(app, "03") == ["ran", "wrote"]


def test_parts_of_a_killed_run_are_removed_but_not_those_of_others(app):
    parts = [
        app.output / f"sub-{label}/anat/.{'a' * 32}_sub-{label}_x.nii" for label in ("01", "02")
    ]
    for part in parts:
        part.parent.mkdir(parents=True)
        part.touch()
    assert app("--participant-label", "01") == 0
    assert [part.exists() for part in parts] == [False, True]


@pytest.fixture
def other_run(app):
    """Another process that holds the locks of sub-02 in the output and in ./work."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from bids_gan.cli.lock import hold\n"
        "folder = Path(sys.argv[1])\n"
        "folder.mkdir(parents=True)\n"
        "with hold(folder, ['sub-02'], 'x'):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    started = []

    def start(folder):
        started.append(
            subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
        )
        assert started[-1].stdout.readline() == b"held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("place", ["OUTPUT_DIR", "--work-dir"])
def test_two_runs_on_the_same_people_at_once(app, capsys, other_run, place):
    other = other_run(app.output / "logs" if place == "OUTPUT_DIR" else app.tmp_path / "work")
    assert app() == 2
    err = capsys.readouterr().err
    assert f"another run of bids-gan is at work on sub-02 in {place}" in err
    assert "--participant-label" in err
    assert written(app) == {}
    # a job of other people goes on, as in a job array
    assert app("--participant-label", "01", "03") == 0
    # nothing has to be cleaned up after a kill
    other.kill()
    other.wait()
    assert app() == 0


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def private_mounts():
    """Give this process file systems of its own; they end with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("--make-rprivate", "/")


@pytest.fixture
def can_mount():
    process = FORK.Process(target=private_mounts)
    process.start()
    process.join()
    if process.exitcode:
        pytest.skip("mounting a small or a read-only file system needs privileges")


@pytest.mark.parametrize("place", ["out", "work"])
def test_disk_full(app, can_mount, capfd, place):
    folder = app.tmp_path / place

    def small_disk():
        private_mounts()
        folder.mkdir()
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))

    assert exit_code(app, small_disk) == 75
    err = capfd.readouterr().err
    assert "No space left on device" in err
    assert "goes on from here" in err
    assert exit_code(app) == 0  # with room again


@pytest.mark.parametrize("names", [[], ["logs"]], ids=["new", "of an earlier run"])
def test_read_only_output(app, can_mount, capfd, names):
    app.output.mkdir()

    def read_only():
        private_mounts()
        mount("-t", "tmpfs", "tmpfs", str(app.output))
        for name in names:
            (app.output / name).mkdir()
        mount("-o", "remount,ro", str(app.output))

    assert exit_code(app, read_only) == 2
    err = capfd.readouterr().err
    assert str(app.output) in err
    assert "Read-only file system" in err


@pytest.mark.parametrize("nprocs", ["1", "2"])
def test_memory_limit(app, behaviours, capfd, nprocs):
    behaviours["02"] = "asks for 8 TB"

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36))

    assert exit_code(app, limit, "--nprocs", nprocs) == 75
    out, err = capfd.readouterr()
    assert "2 of 3 sessions finished" in out
    assert "sub-02: _ArrayMemoryError" in err
    assert "--mem-mb" in err


def test_vanished_work_folder(app, behaviours, capsys):
    behaviours["02"] = "without work"
    assert app() == 1
    assert "sub-02: " in capsys.readouterr().err
    behaviours["02"] = ""
    assert app() == 0


@pytest.mark.parametrize("hours", [-30, 30])
def test_clock_skew(app, hours):
    assert app() == 0
    for path in [*app.tmp_path.joinpath("work").rglob("*"), *app.output.rglob("*")]:
        moved = path.stat().st_mtime + 3600 * hours
        os.utime(path, (moved, moved))
    assert app() == 0
    assert [log(app, label) for label in ("01", "02", "03")] == [["ran", "wrote"]] * 3


def test_altered_weights_are_69_before_anything_is_run(app, capsys):
    card = find_card("t1w-to-fa")
    copy = app.tmp_path / "mine.safetensors"
    weights = bytearray(card.weights.read_bytes())
    weights[-1] ^= 1
    copy.write_bytes(weights)
    copy.with_suffix(".json").write_text(card.path.read_text())
    assert app("--model", str(copy)) == 69
    assert f"{copy}: SHA-256 is" in capsys.readouterr().err
    assert log(app, "01") == []


def test_nobody_finished_for_one_reason_has_its_code(app, behaviours, capsys):
    behaviours["01"] = "bad data"
    assert app("--participant-label", "01") == 65
    assert "sub-01: DataError: sub-x_T1w.nii.gz: cut short" in capsys.readouterr().err
    assert app() == 1  # the others are finished
