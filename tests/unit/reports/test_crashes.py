"""Crash files as Nipype writes them."""

import nipype.pipeline.engine as pe
import pytest
from nipype import config
from nipype.interfaces.utility import Function

from bids_gan.errors import ProcessingError, ResourceError
from bids_gan.reports.crashes import Crash, read_crashes


def fail():
    raise ValueError("first line\n\nsecond: line")


def exhaust():
    raise MemoryError


@pytest.fixture
def crash_of(tmp_path):
    def make(function) -> Crash:
        before = dict(config._sections["execution"])
        logs = tmp_path / "logs"
        execution = {"crashdump_dir": logs / "a", "crashfile_format": "txt"}
        config.update_config({"execution": execution})
        try:
            inner = pe.Workflow("sub_01_wf")
            steps = pe.Workflow("dwi_wf")
            steps.add_nodes([pe.Node(Function(function=function), name="fit")])
            inner.add_nodes([steps])
            top = pe.Workflow("top", base_dir=str(tmp_path / "work"))
            top.add_nodes([inner])
            with pytest.raises(Exception, match=r"Exception raised"):
                top.run()
        finally:
            config.update_config({"execution": before})
        (crash,) = read_crashes(logs)
        return crash

    return make


def test_who_where_and_why(crash_of):
    crash = crash_of(fail)
    assert (crash.workflow_name, crash.step) == ("sub_01_wf", "dwi_wf.fit")
    assert crash.exception == "ValueError"
    assert crash.message == "first line\n\nsecond: line"
    assert crash.kind is ProcessingError


def test_exhausted_memory(crash_of):
    crash = crash_of(exhaust)
    assert (crash.exception, crash.message) == ("MemoryError", "")
    assert crash.kind is ResourceError


def test_own_words_of_torch_count_as_memory():
    message = "[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory"
    assert Crash(None, "", "", "RuntimeError", message).kind is ResourceError
    assert Crash(None, "", "", "OutOfMemoryError", "CUDA out of memory.").kind is ResourceError


def test_no_logs(tmp_path):
    assert read_crashes(tmp_path / "absent") == []
