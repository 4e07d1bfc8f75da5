"""Whole runs with a stand-in workflow: exit codes, texts, files, resume."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from bids_tree import diffusion, write_dataset

from bids_gan.cli import execute
from bids_gan.cli.environment import prepare_environment
from bids_gan.errors import DataError, ModelError
from bids_gan.settings import Settings

PROCESSES = ["1", "2"]


def ran(app, label):
    log = app.tmp_path / f"log-{label}"
    return log.read_text().splitlines().count("ran") if log.exists() else 0


@pytest.mark.parametrize("nprocs", PROCESSES)
def test_all_goes_well_and_is_not_done_twice(app, capsys, nprocs):
    assert app(nprocs=nprocs) == 0
    out = capsys.readouterr().out
    assert "3 of 3 sessions can be processed" in out
    assert "[6/6]" in out
    assert "sub-02: write outputs" in out
    assert "3 of 3 sessions finished" in out
    assert str(app.output / "sub-01.html") in out
    assert (app.output / "dataset_description.json").exists()
    (log_dir,) = [path for path in (app.output / "logs").iterdir() if path.is_dir()]
    stored = Settings.from_toml(log_dir / "bids-gan.toml")
    assert (stored.bids_dir, stored.nprocs) == (app.root, int(nprocs))
    assert (log_dir / "plan.txt").read_text().strip() in out

    assert app(nprocs=nprocs) == 0
    assert "(done in an earlier run)" in capsys.readouterr().out
    assert [ran(app, label) for label in ("01", "02", "03")] == [1, 1, 1]

    assert app("--clean-workdir", nprocs=nprocs) == 0
    assert ran(app, "01") == 2


def test_steps_of_another_version_are_done_again(app, monkeypatch):
    assert app() == 0
    with monkeypatch.context() as patch:
        patch.setattr(execute, "fingerprint", lambda: "a1b2c3d4")
        assert app() == 0
        assert ran(app, "01") == 2
        assert (app.tmp_path / "work" / "bids-gan-a1b2c3d4" / execute.WORKFLOW_NAME).is_dir()
        assert app("--clean-workdir") == 0
        assert ran(app, "01") == 3
    assert app() == 0
    assert ran(app, "01") == 3


@pytest.mark.parametrize("nprocs", PROCESSES)
def test_one_person_fails_the_others_finish(app, behaviours, capsys, nprocs):
    behaviours["02"] = "fails"
    assert app(nprocs=nprocs) == 1
    out, err = capsys.readouterr()
    assert "sub-02: check everything: FAILED" in out
    assert "2 of 3 sessions finished" in out
    assert "sub-02: ValueError: boom (step: check everything)" in err
    (crash,) = app.output.glob("logs/*/crash-*.txt")
    assert str(crash) in err
    assert ran(app, "03") == 1


@pytest.mark.parametrize("nprocs", PROCESSES)
def test_stop_on_first_crash(app, behaviours, nprocs):
    behaviours.update({"01": "fails", "02": "fails", "03": "fails"})
    assert app("--stop-on-first-crash", nprocs=nprocs) == 1
    assert len(list(app.output.glob("logs/*/crash-*.txt"))) == 1


def test_exhausted_memory_is_75(app, behaviours, capsys):
    behaviours["01"] = "exhausts"
    assert app() == 75
    err = capsys.readouterr().err
    assert "MemoryError: too large" in err
    assert "--mem-mb" in err


def test_killed_worker_is_75_and_does_not_hang(app, behaviours, capsys):
    behaviours["01"] = "killed"
    assert app("--participant-label", "01", nprocs="2") == 75
    assert "WorkerKilled" in capsys.readouterr().err
    behaviours["01"] = ""
    assert app(nprocs="2") == 0


def test_missing_output_is_a_failure(app, behaviours, capsys):
    behaviours["03"] = "incomplete"
    assert app() == 1
    assert "sub-03: no step failed, but outputs are missing: sub-03/" in capsys.readouterr().err


def test_missing_report_is_a_failure(app, behaviours, capsys):
    behaviours["report"] = "fails"
    assert app() == 1
    err = capsys.readouterr().err
    assert "report: RuntimeError: no ink" in err
    assert "error-report.txt" in err


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (DataError("gradients do not fit"), 1, "sub-02: gradients do not fit"),
        (ModelError("weights altered"), 69, "weights altered"),
        (KeyError("x"), 70, "internal error"),
    ],
)
def test_faults_while_building(app, behaviours, capsys, fault, code, words):
    behaviours["02"] = fault
    assert app() == code
    assert words in capsys.readouterr().err
    assert ran(app, "01") == (code == 1)


def test_refused_person(app, capsys):
    write_dataset(app.root, diffusion("sub-04/dwi/sub-04_dir-AP"))
    assert app() == 1
    out, err = capsys.readouterr()
    assert "REFUSED  no T1w image" in out
    assert "3 of 4 sessions finished" in out
    assert "sub-04: no T1w image" in err


@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_nothing_can_be_processed(app, capsys, options):
    for label in ("01", "02", "03"):
        (app.root / f"sub-{label}/dwi/sub-{label}_dir-AP_dwi.json").write_text("{}")
    assert app(*options) == 65
    out, err = capsys.readouterr()
    assert "0 of 3 sessions can be processed" in out
    assert "nothing can be processed" in err
    assert err.splitlines()[-1].startswith("  sub-03: sub-03/dwi/sub-03_dir-AP_dwi.nii.gz cannot")
    assert not app.output.exists()
    assert app("--sdc-on-failure", "warn", "--dry-run") == 0


def test_dry_run_writes_nothing(app, capsys):
    before = sorted(app.tmp_path.rglob("*"))
    assert app("--dry-run") == 0
    assert "Plan for" in capsys.readouterr().out
    assert sorted(app.tmp_path.rglob("*")) == before


def test_dry_run_shows_who_is_refused(app, capsys):
    (app.root / "sub-01/dwi/sub-01_dir-AP_dwi.json").write_text("{")
    assert app("--dry-run") == 0
    out = capsys.readouterr().out
    assert "REFUSED  sub-01/dwi/sub-01_dir-AP_dwi.json is no JSON" in out
    assert "2 of 3 sessions can be processed" in out


def test_wrong_usage(app, capsys):
    assert app("--participant-label", "99") == 2
    assert "01, 02, 03" in capsys.readouterr().err
    assert app("--nonsense") == 2
    assert "--nonsense" in capsys.readouterr().err
    assert app(level="group") == 2
    assert "run the participant level first" in capsys.readouterr().err


def test_output_folder_of_another_dataset(app, capsys):
    write_dataset(app.output, {})
    assert app() == 2
    assert "holds another dataset" in capsys.readouterr().err


def test_validator_errors_stop(app, capsys):
    from bids_gan.cli.run import main

    # the images of this dataset are empty
    assert main([str(app.root), str(app.output), "participant"]) == 65
    err = capsys.readouterr().err
    assert "EMPTY_FILE" in err
    assert "sub-01_T1w.nii.gz" in err
    assert "--skip-bids-validation" in err
    assert not app.output.exists()


def test_reports_only_boilerplate_only_and_group(app):
    assert app("--reports-only") == 0
    assert (app.output / "sub-03.html").exists()
    assert not (app.output / "logs/CITATION.md").exists()
    assert app("--boilerplate-only") == 0
    assert (app.output / "logs/CITATION.md").exists()
    assert app(level="group") == 0
    assert (app.output / "group.html").exists()
    assert ran(app, "01") == 0


def test_graph_and_monitor(app):
    assert app("--write-graph", "--resource-monitor", "--participant-label", "01") == 0
    (log_dir,) = [path for path in (app.output / "logs").iterdir() if path.is_dir()]
    assert "check_everything" in (log_dir / "graph.dot").read_text()
    assert json.loads((log_dir / "resource_monitor.json").read_text())


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("plugin: Linear\n", 0),
        ("plugin: MultiProc\nplugin_args: {n_procs: 2}\n", 0),
        ("plugin: Abacus\n", 2),
        ("- Linear\n", 2),
        ("plugin: Linear\nplugin_args: 3\n", 2),
    ],
)
def test_plugin_file(app, capsys, content, code):
    path = app.tmp_path / "plugin.yaml"
    path.write_text(content)
    assert app("--use-plugin", str(path), "--participant-label", "01") == code
    if code:
        assert "SLURM" in capsys.readouterr().err


def test_interrupt_is_130_and_resumes(app, behaviours, monkeypatch, capsys):
    from bids_gan.cli import progress

    def interrupt(self, node, status):
        if node.name == "check_everything":
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "__call__", interrupt)
        assert app("--participant-label", "01") == 130
    assert "goes on from here" in capsys.readouterr().err
    assert app("--participant-label", "01") == 0
    assert ran(app, "01") == 1


def test_times_of_steps_are_noted_once(app):
    from bids_gan.reports.times import read_times

    for label in ("01", "02"):
        assert app("--participant-label", label) == 0
    logs = app.output / "logs"
    tables = sorted(logs.glob("*/times.tsv"), key=lambda path: path.stat().st_mtime_ns)
    assert len(tables) == 2
    assert all(len(table.read_text().splitlines()) == 2 for table in tables)
    assert list(read_times(logs, "sub_01_wf")) == ["write_outputs", "check_everything"]
    before = [table.read_text() for table in tables]
    assert app("--participant-label", "01") == 0  # nothing is computed anew
    assert [table.read_text() for table in tables] == before
    assert not list(set(logs.glob("*/times.tsv")) - set(tables))


def test_workers_end_with_a_killed_main_process(tmp_path):
    """Kill the main process without mercy: the sleeping worker must not stay behind."""
    script = tmp_path / "main.py"
    script.write_text(
        "import os, sys\n"
        "from nipype.interfaces.utility import Function\n"
        "from nipype.pipeline.engine import Node, Workflow\n"
        "from bids_gan.cli.plugin import WorkerPoolPlugin\n"
        "def nap(path):\n"
        "    import os, time\n"
        "    open(path, 'w').write(str(os.getpid()))\n"
        "    time.sleep(100)\n"
        "if __name__ == '__main__':\n"
        "    node = Node(Function(function=nap), name='nap')\n"
        "    node.inputs.path = sys.argv[1]\n"
        "    workflow = Workflow('wf', base_dir=sys.argv[2])\n"
        "    workflow.add_nodes([node])\n"
        "    workflow.run(plugin=WorkerPoolPlugin({'n_procs': 2}))\n"
    )
    pid_file = tmp_path / "pid"
    command = [sys.executable, str(script), str(pid_file), str(tmp_path / "work")]
    process = subprocess.Popen(command)
    try:
        wait_for(lambda: pid_file.exists() and pid_file.read_text())
        worker = int(pid_file.read_text())
        assert is_alive(worker)
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not is_alive(worker))


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_environment_with_an_unwritable_home(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("XDG_CACHE_HOME", "TEMPLATEFLOW_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "absent"))
    work = tmp_path / "work"
    settings = Settings(tmp_path, tmp_path, nprocs=4, omp_nthreads=3, work_dir=work, verbose=1)
    prepare_environment(settings)
    for name in ("XDG_CACHE_HOME", "TEMPLATEFLOW_HOME", "MPLCONFIGDIR"):
        assert os.environ[name].startswith(str(work))
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "3"


def test_libraries_import_without_home_and_network(tmp_path):
    """The home cannot be made (its parent is a file), and sockets do not connect."""
    (tmp_path / "file").touch()
    code = (
        "import os, socket, sys\n"
        "from pathlib import Path\n"
        "def refuse(*_):\n"
        "    raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from bids_gan.cli.environment import prepare_environment\n"
        "from bids_gan.settings import Settings\n"
        "folder = Path(sys.argv[1])\n"
        "prepare_environment(Settings(folder, folder, work_dir=folder / 'work'))\n"
        "import matplotlib.pyplot, nipype, nireports.assembler.report, templateflow\n"
        "import niworkflows.interfaces.bids\n"
    )
    keep = {
        name: value
        for name, value in os.environ.items()
        if name not in ("XDG_CACHE_HOME", "TEMPLATEFLOW_HOME", "MPLCONFIGDIR", "NIPYPE_CONFIG_DIR")
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**keep, "HOME": str(tmp_path / "file" / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work/.cache/templateflow").is_dir()
