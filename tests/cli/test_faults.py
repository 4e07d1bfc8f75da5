"""What the machine, the file system or the user does to a run: nothing is lost, all is said.

docs/reliability.md names the tests of this file.
"""

import ctypes
import errno
import io
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import numpy as np
import pytest

#: processes -> runs that are killed
N_KILLS = {"1": 16, "2": 4}
#: seconds from the first write on in which half of the kills strike
WRITING = 0.3
PART = re.compile(r"\.[0-9a-f]{32}_.+")
NEW_MOUNTS = 0x00020000  # CLONE_NEWNS of unshare(2)
FORK = multiprocessing.get_context("fork")


def start(run, before=lambda: None, *options):
    """Start the application in a process group of its own after ``before()``."""

    def target():
        # a server of processes that an earlier test started is no child of this process
        forkserver._forkserver.__init__()
        before()
        os._exit(run(*options))

    process = FORK.Process(target=target)
    process.start()
    os.setpgid(process.pid, process.pid)
    return process


def exit_code(*arguments):
    """Run the application to its end; arguments as of `start`."""
    process = start(*arguments)
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


def parts(app):
    """Half-written files, those of the log folder too."""
    return [path for path in app.output.rglob(".*") if PART.fullmatch(path.name)]


def forget(app):
    """As if nothing had been run."""
    for name in ("out", "work"):
        shutil.rmtree(app.tmp_path / name, ignore_errors=True)
    for path in app.tmp_path.glob("log-*"):
        path.unlink()


@pytest.mark.parametrize("nprocs", N_KILLS)
def test_killed_at_random_moments(app, behaviours, nprocs):
    behaviours.update({"01": "slow", "02": "slow", "03": "slow"})
    assert app() == 0  # libraries are loaded once, not by each of the processes
    forget(app)
    begin = time.monotonic()
    assert exit_code(app, lambda: None, "--nprocs", nprocs) == 0
    seconds = time.monotonic() - begin
    undisturbed = written(app)
    rng = np.random.default_rng(0)
    left = []  # half-written files of each killed run
    for _ in range(10 * N_KILLS[nprocs]):
        if len(left) >= N_KILLS[nprocs] and any(left):
            break
        forget(app)
        process = start(app, lambda: None, "--nprocs", nprocs)
        if len(left) % 2:
            time.sleep(rng.uniform(0, seconds))
        else:
            while process.is_alive() and not log(app, "01"):
                time.sleep(0.005)
            time.sleep(rng.uniform(0, WRITING))
        os.killpg(process.pid, signal.SIGKILL)  # the workers too
        process.join()
        if process.exitcode != -signal.SIGKILL:
            continue  # it had ended
        left.append(len(parts(app)))
        for name, content in written(app).items():
            whole = content == undisturbed.get(name)
            assert whole or PART.fullmatch(name.rpartition("/")[2]), name
        if left[-1] or len(left) == 1:
            assert exit_code(app, lambda: None, "--nprocs", nprocs) == 0
            assert written(app) == undisturbed
            assert parts(app) == []
    assert len(left) >= N_KILLS[nprocs]
    assert any(left), "no kill struck while a file was being written"
    print(f"{sum(map(bool, left))} of {len(left)} killed runs left half-written files")


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


def test_parts_of_the_dataset_level_are_removed_when_nobody_else_is_at_work(app, other_run):
    def plant():
        names = ["dataset_description.json", "README.md", ".bidsignore", "group.html"]
        names += ["logs/CITATION.md", "logs/20260101-000000_x/plan.txt"]
        for name in names:
            path = app.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{'a' * 32}_{path.name}").touch()
        (app.output / "logs/.hidden_by_somebody").touch()
        return len(names)

    other = other_run(app.output / "logs")
    planted = plant()
    assert app("--participant-label", "01") == 0
    assert len(parts(app)) == planted  # the other run may be writing them
    other.kill()
    other.wait()
    assert app("--participant-label", "01") == 0
    assert parts(app) == []
    plant()
    assert app(level="group") == 0
    assert parts(app) == []
    assert (app.output / "logs/.hidden_by_somebody").exists()


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


def test_two_real_runs_at_once(app, behaviours, capfd):
    behaviours["01"] = "waits"
    first = start(app, lambda: None, "--participant-label", "01", "02")
    while first.is_alive() and not log(app, "01"):
        time.sleep(0.01)
    before = {label: log(app, label) for label in ("01", "02")}
    other_work = str(app.tmp_path / "work-2")
    assert exit_code(app, lambda: None, "--participant-label", "01", "--work-dir", other_work) == 2
    assert "at work on sub-01 in OUTPUT_DIR" in capfd.readouterr().err
    assert log(app, "01").count("ran") == before["01"].count("ran")
    # beside it, as in a job array
    assert exit_code(app, lambda: None, "--participant-label", "03") == 0
    assert first.is_alive()
    (app.tmp_path / "go").touch()
    first.join()
    assert first.exitcode == 0
    assert [log(app, label) for label in ("01", "02", "03")] == [["ran", "wrote"]] * 3
    together = written(app)
    forget(app)
    assert app() == 0
    assert written(app) == together


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks(app, monkeypatch, capsys, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("bids_gan.cli.lock.fcntl.lockf", refuse)
    mine, shared = (app.output / f".{'a' * 32}_{name}" for name in ("sub-01.html", "README.md"))
    app.output.mkdir()
    for part in (mine, shared):
        part.touch()
    assert app() == 0
    assert f"this file system has no locks ({os.strerror(number)})" in capsys.readouterr().err
    # another run may be writing what belongs to everybody
    assert (mine.exists(), shared.exists()) == (False, True)


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
    folder.mkdir()

    def full_then_roomy():
        """Both runs see one file system, which only this process has."""
        private_mounts()
        mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
        assert app() == 75
        assert list(folder.rglob("*"))  # something had been written
        mount("-o", "remount,size=64m", str(folder))
        return app()

    assert exit_code(full_then_roomy) == 0
    out, err = capfd.readouterr()
    assert "No space left on device" in err
    assert re.search(rf"{folder} \(0\.\d MB free\)", err)
    assert "goes on from here" in err
    assert "3 of 3 sessions finished" in out


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
    out, err = capsys.readouterr()
    print(out, err)
    assert err.splitlines()[-1].startswith(f"--work-dir {app.tmp_path / 'work'} was removed while")
    failed = {line.split(":")[0].strip() for line in err.splitlines() if line.startswith("  sub-")}
    assert failed == {"sub-01", "sub-02"}  # had begun
    assert "1 of 3 sessions finished" in out
    behaviours["02"] = ""
    assert app() == 0
    assert "3 of 3 sessions finished" in capsys.readouterr().out


@pytest.mark.parametrize("hours", [-30, 30])
def test_clock_skew(app, hours):
    assert app() == 0
    for path in [*app.tmp_path.joinpath("work").rglob("*"), *app.output.rglob("*")]:
        moved = path.stat().st_mtime + 3600 * hours
        os.utime(path, (moved, moved))
    assert app() == 0
    assert [log(app, label) for label in ("01", "02", "03")] == [["ran", "wrote"]] * 3


def test_who_failed_stands_last_in_a_file_of_both_streams(app, behaviours):
    behaviours["02"] = "fails"
    path = app.tmp_path / "printed"

    def print_into_file():
        stream = path.open("wb")
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.BufferedWriter(io.FileIO(n, "w"))) for n in (1, 2)
        )
        code = app()
        sys.stderr.flush()
        sys.stdout.flush()
        return code

    assert exit_code(print_into_file) == 1
    (crash,) = app.output.glob("logs/*/crash-*.txt")
    assert path.read_text().splitlines()[-2:] == [
        "  sub-02: ValueError: boom (step: check everything)",
        f"    details: {crash}",
    ]


def test_nobody_finished_for_one_reason_has_its_code(app, behaviours, capsys):
    behaviours["01"] = "bad data"
    assert app("--participant-label", "01") == 65
    assert "sub-01: DataError: sub-x_T1w.nii.gz: cut short" in capsys.readouterr().err
    assert app() == 1  # the others are finished
