"""A small dataset and a stand-in for the real workflow, which writes all expected outputs."""

import os
import sys
import types

import pytest
from bids_tree import diffusion, write_dataset


def record_and_write(folder, names, log_folder, label, behaviour):
    """First step of everybody; runs in a worker, hence the imports inside.

    Folder and names come apart: Nipype looks at the age of any input that is an existing file.
    """
    import os
    import shutil
    import signal
    import time
    from pathlib import Path

    from bids_gan.bids.outputs import write_text, write_whole

    def slowly(part):
        with open(part, "w") as stream:
            for _ in range(5):
                stream.write("x" * 5000)
                stream.flush()
                time.sleep(0.002)

    with open(f"{log_folder}/log-{label}", "a") as stream:
        stream.write("ran\n")
    for name in names:
        if behaviour == "slow":
            write_whole(Path(folder, name), slowly)
        else:
            write_text(Path(folder, name), "x")
    with open(f"{log_folder}/log-{label}", "a") as stream:
        stream.write("wrote\n")
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "without work":
        shutil.rmtree(f"{log_folder}/work")
    return behaviour


def behave(behaviour, log_folder):
    """Second step of everybody."""
    if behaviour == "naps":
        import time

        with open(f"{log_folder}/naps", "a") as stream:
            stream.write("begin\n")
            stream.flush()
            time.sleep(0.5)
            stream.write("end\n")
    if behaviour == "waits":
        import os
        import time

        for _ in range(3000):
            if os.path.exists(f"{log_folder}/go"):
                return behaviour
            time.sleep(0.02)
        raise TimeoutError("waited in vain")
    if behaviour == "counts threads":
        import os

        before = len(os.listdir("/proc/self/task"))
        import torch

        from bids_gan.itk import bias_field

        image = torch.rand(1, 8, 32, 32, 32)
        torch.nn.functional.conv3d(image, torch.rand(8, 8, 3, 3, 3)) @ torch.rand(30, 600)
        bias_field(image[0, 0].numpy(), torch.ones(32, 32, 32).numpy(), torch.eye(4).numpy())
        more = len(os.listdir("/proc/self/task")) - before
        with open(f"{log_folder}/threads", "w") as stream:
            stream.write(f"{torch.get_num_threads()} {more}")
    if behaviour == "fails":
        raise ValueError("boom")
    if behaviour == "exhausts":
        raise MemoryError("too large")
    if behaviour == "asks for 8 TB":
        import numpy

        numpy.ones(10**12)
    if behaviour == "bad data":
        from bids_gan.errors import DataError

        raise DataError("sub-x_T1w.nii.gz: cut short")
    return behaviour


@pytest.fixture
def behaviours():
    """What happens to whom, by label of the person; anything else goes well."""
    return {}


@pytest.fixture
def app(tmp_path, monkeypatch, behaviours):
    """Run ``bids-gan`` on three people with the stand-in; the environment is restored."""
    from nipype.interfaces.utility import Function
    from nipype.pipeline.engine import Node, Workflow

    from bids_gan.bids.outputs import expected_outputs, write_text
    from bids_gan.cli.run import main

    root = tmp_path / "data"
    for label in ("01", "02", "03"):
        person = {f"sub-{label}/anat/sub-{label}_T1w.nii.gz": None}
        write_dataset(root, {**person, **diffusion(f"sub-{label}/dwi/sub-{label}_dir-AP")})

    def init_session_wf(session, settings):
        behaviour = behaviours.get(session.subject, "")
        if isinstance(behaviour, Exception):
            raise behaviour
        names = [
            str(alternatives[0])
            for alternatives in expected_outputs(session, settings)
            if alternatives[0].suffix != ".html"
        ]
        first = Node(Function(function=record_and_write), name="write_outputs")
        first.inputs.folder = str(settings.output_dir)
        first.inputs.names = names[1:] if behaviour == "incomplete" else names
        first.inputs.log_folder = str(tmp_path)
        first.inputs.label = session.subject
        first.inputs.behaviour = behaviour
        second = Node(Function(function=behave), name="check_everything")
        second.inputs.log_folder = str(tmp_path)
        workflow = Workflow(session.workflow_name)
        workflow.connect(first, "out", second, "behaviour")
        return workflow

    def write_subject_reports(settings, plan):
        for session in plan.sessions:
            if behaviours.get("report"):
                raise RuntimeError("no ink")
            write_text(settings.output_dir / f"sub-{session.subject}.html", "x")

    def write_boilerplate(settings, plan):
        write_text(settings.output_dir / "logs" / "CITATION.md", "x")

    def write_group(output_dir):
        write_text(output_dir / "group.html", "x")

    for module, function in (
        ("workflows.base", init_session_wf),
        ("reports.subject", write_subject_reports),
        ("reports.boilerplate", write_boilerplate),
        ("reports.group", write_group),
    ):
        stand_in = types.ModuleType(f"bids_gan.{module}")
        setattr(stand_in, function.__name__, function)
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    # variables that the application sets for its own process
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)

    def run(*options, level="participant", nprocs="1", raw=root):
        common = [str(raw), str(tmp_path / "out"), level, "--skip-bids-validation"]
        return main([*common, "--nprocs", nprocs, *options])

    run.root, run.output, run.tmp_path = root, tmp_path / "out", tmp_path
    return run
