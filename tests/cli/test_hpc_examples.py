"""Scripts for clusters do what their first lines say; programs are stand-ins."""

import os
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "hpc"
#: prints where it was started, and its arguments, one a line
STAND_IN = '#!/bin/sh\npwd\nprintf "%s\\n" "$@"\n'


@pytest.fixture
def script(tmp_path):
    """Run an example beside the folders ``data`` (three people) and ``home``."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bids-gan", "apptainer"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    for folder in ("home", "my data/sub-01", "my data/sub-02", "my data/sub-x3"):
        (tmp_path / folder).mkdir(parents=True)

    def run(name, *arguments, cwd=tmp_path, **variables):
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
        done = subprocess.run(
            ["bash", EXAMPLES / name, *arguments],
            cwd=cwd,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        place, *given = done.stdout.splitlines()
        return Path(place), given

    return run


def one_person(person, memory="6000", processors="2"):
    return [
        *["my data", "out", "participant", "--participant-label", person],
        *["--skip-bids-validation", "--work-dir", f"work/{person}"],
        *["--nprocs", processors, "--mem-mb", memory],
    ]


@pytest.mark.parametrize(("task", "person"), [("1", "sub-01"), ("3", "sub-x3")])
def test_array_of_grid_engine(script, task, person):
    folders = ("my data", "out", "work")
    _, given = script("sge_array.sh", *folders, SGE_TASK_ID=task)
    assert given == one_person(person)
    _, given = script("sge_array.sh", *folders, "--sdc", "none", SGE_TASK_ID=task, NSLOTS="4")
    assert given == [*one_person(person, processors="4"), "--sdc", "none"]


@pytest.mark.parametrize(("task", "person"), [("1", "sub-01"), ("3", "sub-x3")])
def test_array_of_slurm(script, task, person):
    variables = {"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "8000"}
    folders = ("my data", "out", "work")
    _, given = script("slurm_array.sh", *folders, SLURM_ARRAY_TASK_ID=task, **variables)
    assert given == one_person(person, "8000", "4")


def test_array_of_pbs_starts_at_home(script, tmp_path):
    """Folders are relative to where the user called qsub."""
    variables = {"BIDS_DIR": "my data", "OUTPUT_DIR": "out", "WORK_DIR": "work", "NCPUS": "4"}
    variables |= {"PBS_ARRAY_INDEX": "2", "PBS_O_WORKDIR": str(tmp_path)}
    place, given = script("pbs_array.sh", cwd=tmp_path / "home", **variables)
    assert place == tmp_path
    assert given == one_person("sub-02", processors="4")


def test_apptainer(script, tmp_path):
    _, given = script("apptainer.sh", "a.sif", "my data", "out", "work", "--sdc", "none")
    image = given.index("a.sif")
    options = ["--containall", "--net", "--network", "none"]
    binds = ["my data:/data:ro", "out:/out", "work:/work", "work/tmp:/tmp"]
    assert given[:image] == ["run", *options, *(x for bind in binds for x in ("--bind", bind))]
    assert given[image + 1 : image + 4] == ["/data", "/out", "participant"]
    assert given[image + 4 :] == ["--work-dir", "/work", "--nprocs", "2", "--sdc", "none"]
    assert (tmp_path / "work" / "tmp").is_dir()
    assert (tmp_path / "out").is_dir()


def test_plugin_file_for_one_machine(app):
    options = ["--participant-label", "01", "--use-plugin", str(EXAMPLES / "nipype_multiproc.yml")]
    assert app(*options) == 0


@pytest.mark.parametrize(("user", "code", "words"), [("0", 1, "FAILED"), ("1000", 77, "SKIPPED")])
def test_slurm_that_does_not_start_is_a_failure(tmp_path, user, code, words):
    """Where it cannot be installed the test is skipped."""
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_ins = dict.fromkeys(("munged", "slurmctld", "slurmd", "sbatch", "bids-gan"), "exit 1")
    for name, line in {**stand_ins, "id": f"echo {user}"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    script = Path(__file__).parents[1] / "hpc" / "slurm.sh"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "WAIT": "1"}
    done = subprocess.run(
        ["bash", script, tmp_path / "slurm"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == code
    assert words in done.stdout.splitlines()[-1]
