"""Processors, threads, memory and batch systems: what is asked for is what a run takes."""

import pytest

from bids_gan.cli import execute


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

    def install():
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
            (folder / name).write_text(text.format(folder=app.tmp_path))
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.delenv("LOGNAME", raising=False)
        monkeypatch.setattr(execute, "BATCH_POLL", 0.1)
        monkeypatch.setattr(execute, "LATE_FILES", 1.0)
        plugin = app.tmp_path / "slurm.yaml"
        plugin.write_text("plugin: SLURM\nplugin_args: {sbatch_args: --mem=4G}\n")
        return ["--participant-label", "01", "--use-plugin", str(plugin)]

    return install


def test_slurm_plugin(app, slurm):
    options = slurm()
    assert app(*options) == 0
    jobs = (app.tmp_path / "jobs").read_text().splitlines()
    assert len(jobs) == 2
    assert all("--mem=4G" in job for job in jobs)


def test_failed_job_is_told_like_any_failure(app, behaviours, slurm, capsys):
    behaviours["01"] = "fails"
    assert app(*slurm()) == 1
    err = capsys.readouterr().err
    assert err.count("sub-01: ValueError: boom (step: check everything)") == 1


def test_job_that_the_batch_system_kills_is_75(app, behaviours, slurm, capsys):
    behaviours["01"] = "killed"
    assert app(*slurm()) == 75
    assert "finished or terminated" in capsys.readouterr().err
