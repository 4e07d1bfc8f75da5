"""Processors, threads, memory and batch systems: what is asked for is what a run takes."""

import gc

import numpy as np
import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_gan.cli import batch, execute


def test_threads_of_a_step(app, behaviours):
    """The libraries make no more threads than asked for: torch and BLAS, and ITK's own pool.

    In a worker, since the libraries of this process were imported with other options.
    """
    behaviours["01"] = "counts threads"
    options = ["--participant-label", "01", "--omp-nthreads", "1"]
    assert app(*options, nprocs="2") == 0
    torch_threads, more = (app.tmp_path / "threads").read_text().split()
    assert torch_threads == "1"
    assert int(more) <= 1  # ITK's, which works while the caller waits


def test_waiting_does_not_go_through_all_memory(app, monkeypatch):
    """Nipype collects garbage at every look for finished steps: libraries are left out of it."""
    looked_at, collect = [], gc.collect

    def counted():
        looked_at.append(len(gc.get_objects()))
        return collect()

    loaded = len(gc.get_objects())
    monkeypatch.setattr(gc, "collect", counted)
    assert app("--participant-label", "01", nprocs="2") == 0
    assert looked_at
    assert max(looked_at) < loaded / 4
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("by_file", [False, True])
def test_steps_wait_for_memory(app, behaviours, by_file):
    """Each step reserves 0.2 GB: two do not fit into 300 MB."""
    behaviours.update(dict.fromkeys(("01", "02", "03"), "naps"))
    options = ["--mem-mb", "300"]
    if by_file:
        (app.tmp_path / "plugin.yaml").write_text("plugin: MultiProc\n")
        options += ["--use-plugin", str(app.tmp_path / "plugin.yaml")]
    assert app(*options, nprocs="3") == 0
    assert (app.tmp_path / "naps").read_text().split() == ["begin", "end"] * 3


def test_steps_wait_for_processors(app, behaviours):
    """Three people are ready at once; two processors take two of them."""
    behaviours.update(dict.fromkeys(("01", "02", "03"), "naps"))
    assert app(nprocs="2") == 0
    at_work = np.cumsum(
        [{"begin": 1, "end": -1}[line] for line in (app.tmp_path / "naps").read_text().split()]
    )
    assert at_work.max() == 2
    assert at_work[-1] == 0


@pytest.mark.parametrize("nprocs", ["1", "2"])
def test_less_memory_than_a_step_declares_is_said(app, capsys, nprocs):
    options = ["--participant-label", "01", "--mem-mb"]
    assert app(*options, "100", nprocs=nprocs) == 0
    err = capsys.readouterr().err
    assert "100 MB of memory (--mem-mb" in err
    assert "sub 01, check everything may take: 205 MB" in err
    assert app(*options, "205", "--clean-workdir", nprocs=nprocs) == 0
    assert "may take" not in capsys.readouterr().err


#: a batch system that runs every job at once: prints what Nipype reads, keeps a list of the jobs
SBATCH = """#!/bin/sh
for script; do :; done
echo "$@" >> {folder}/jobs
unset LOGNAME
sh "$script" > {folder}/job.log 2>&1
echo "Submitted batch job 7"
"""
SQUEUE = "#!/bin/sh\n"


@pytest.fixture
def slurm(app, monkeypatch):
    """Give the PATH an imitation of SLURM's commands."""
    folder = app.tmp_path / "bin"
    folder.mkdir()

    def install(arguments="--mem=4G"):
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
            (folder / name).write_text(text.format(folder=app.tmp_path))
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.delenv("LOGNAME", raising=False)
        monkeypatch.setattr(execute, "BATCH_POLL", 0.1)
        monkeypatch.setattr(execute, "LATE_FILES", 1.0)
        plugin = app.tmp_path / "slurm.yaml"
        plugin.write_text(f"plugin: SLURM\nplugin_args: {{sbatch_args: {arguments}}}\n")
        return ["--participant-label", "01", "--use-plugin", str(plugin)]

    return install


@pytest.mark.parametrize(
    ("arguments", "words", "absent"),
    [
        ("--time=9", ["--time=9", "--cpus-per-task=1", "--mem=205M"], []),
        ("--mem=4G", ["--mem=4G", "--cpus-per-task=1"], ["--mem=205M"]),
        ("-c2 --mem-per-cpu=2G", ["-c2", "--mem-per-cpu=2G"], ["--cpus-per-task", "--mem="]),
    ],
)
def test_slurm_is_asked_for_what_a_step_declares(app, slurm, arguments, words, absent):
    """The file of the user wins; what it does not name is asked for by each step."""
    assert app(*slurm(arguments)) == 0
    jobs = (app.tmp_path / "jobs").read_text().splitlines()
    assert len(jobs) == 2
    for job in jobs:
        assert all(word in job.split() for word in words)
        assert not any(word in job for word in absent)


def test_template_of_jobs_counts_as_said(tmp_path):
    (tmp_path / "head.sh").write_text("#!/bin/sh\n#SBATCH --mem=9G\n")
    workflow = Workflow("w")
    workflow.add_nodes([Node(IdentityInterface(["a"]), name="n", mem_gb=1.5, n_procs=3)])
    batch.request_resources(workflow, "SLURM", {"template": str(tmp_path / "head.sh")})
    assert workflow.get_node("n").plugin_args == {"sbatch_args": "--cpus-per-task=3"}


@pytest.mark.parametrize(
    ("plugin", "given", "asked"),
    [
        ("PBS", {}, {"qsub_args": "-l ncpus=3 -l mem=1536mb"}),
        ("PBS", {"qsub_args": "-l pvmem=4gb"}, {"qsub_args": "-l ncpus=3"}),
        ("PBS", {"qsub_args": "-l select=1:ncpus=2:mem=4gb"}, {}),
        ("PBS", {"qsub_args": "-l nodes=1:ppn=2"}, {}),
        ("SGE", {}, {}),
    ],
)
def test_words_of_each_scheduler(plugin, given, asked):
    workflow = Workflow("w")
    workflow.add_nodes([Node(IdentityInterface(["a"]), name="n", mem_gb=1.5, n_procs=3)])
    batch.request_resources(workflow, plugin, given)
    assert workflow.get_node("n").plugin_args == asked


def test_failed_job_is_told_like_any_failure(app, behaviours, slurm, capsys):
    behaviours["01"] = "fails"
    assert app(*slurm()) == 1
    err = capsys.readouterr().err
    assert err.count("sub-01: ValueError: boom (step: check everything)") == 1


def test_job_that_the_batch_system_kills_is_75(app, behaviours, slurm, capsys):
    behaviours["01"] = "killed"
    assert app(*slurm()) == 75
    assert "finished or terminated" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["my work", "a;b", "$HOME"])
def test_work_folder_that_a_shell_would_take_apart(app, slurm, capsys, name):
    """Nipype hands the path of the job's script to the shell as it is."""
    options = slurm()
    assert app(*options, "--work-dir", str(app.tmp_path / name)) == 2
    err = capsys.readouterr().err
    assert f"--work-dir {app.tmp_path / name}" in err
    assert not (app.tmp_path / "jobs").exists()
    assert app(*options, "--work-dir", str(app.tmp_path / "Übung-1")) == 0
