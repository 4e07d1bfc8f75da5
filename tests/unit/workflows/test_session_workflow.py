"""The graph of a session is whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from bids_tree import AP, diffusion, image, write_dataset
from nipype.pipeline.engine.utils import generate_expanded_graph

from bids_gan.bids.plan import make_plan
from bids_gan.bids.queries import open_layout
from bids_gan.settings import Settings
from bids_gan.workflows import memory
from bids_gan.workflows.base import init_session_wf


def test_every_run_of_a_session_gets_the_anatomy_and_the_synthetic_fa(tmp_path):
    content = {"sub-01/anat/sub-01_T1w.nii.gz": None}
    for direction in ("AP", "PA", "LR"):
        content |= diffusion(f"sub-01/dwi/sub-01_dir-{direction}")
    settings = Settings(write_dataset(tmp_path / "data", content), tmp_path / "out")
    (session,) = make_plan(open_layout(settings), settings).runnable
    graph = generate_expanded_graph(init_session_wf(session, settings)._create_flat_graph())
    given = {
        str(node): {
            end for *_, data in graph.in_edges(node, data=True) for _, end in data["connect"]
        }
        for node in graph
        if node.name == "estimate_distortion"
    }
    assert len(given) == 3
    for inputs in given.values():
        assert inputs == {"anatomy", "synthetic_fa", "reference", "fa"}


@pytest.mark.parametrize("sdc", ["synth", "none"])
def test_field_that_was_acquired_is_compared_unless_there_is_none_to_compare(tmp_path, sdc):
    content = {"sub-01/anat/sub-01_T1w.nii.gz": None}
    content |= diffusion("sub-01/dwi/sub-01_dir-AP")
    blip = "sub-01/fmap/sub-01_dir-PA_epi"
    content |= {f"{blip}.nii.gz": None, f"{blip}.json": {**AP, "PhaseEncodingDirection": "j"}}
    settings = Settings(write_dataset(tmp_path / "data", content), tmp_path / "out", sdc=sdc)
    (session,) = make_plan(open_layout(settings), settings).runnable
    graph = generate_expanded_graph(init_session_wf(session, settings)._create_flat_graph())
    nodes = {node.name: node for node in graph}
    compared = sdc == "synth"
    assert ("check_field" in nodes) == compared
    assert "draw_field_differences" in nodes  # it also removes what an earlier run compared
    if compared:
        saved = graph.get_edge_data(nodes["check_field"], nodes["save_diffusion"])["connect"]
        assert {end for _, end in saved} == {"check_field", "check_quality"}


def test_steps_declare_the_threads_that_their_libraries_take(tmp_path):
    """And the memory that a series of this size takes."""
    content = {"sub-01/anat/sub-01_T1w.nii.gz": None}
    shape = (40, 40, 20, 7)
    content |= diffusion("sub-01/dwi/sub-01_dir-AP", image=image(shape, (2.0,) * 3))
    blip = "sub-01/fmap/sub-01_dir-PA_epi"
    content |= {f"{blip}.nii.gz": None, f"{blip}.json": {**AP, "PhaseEncodingDirection": "j"}}
    root = write_dataset(tmp_path / "data", content)
    settings = Settings(root, tmp_path / "out", sdc="synth", nprocs=4, omp_nthreads=3)
    (session,) = make_plan(open_layout(settings), settings).runnable
    graph = generate_expanded_graph(init_session_wf(session, settings)._create_flat_graph())
    threads = {node.name: node.n_procs for node in graph}
    registered_or_inferred = {
        "prepare_anatomy",
        "synthesise_fa",
        "prepare_diffusion",
        "estimate_distortion",
        "check_field",
    }
    assert {name for name, number in threads.items() if number == 3} == registered_or_inferred
    assert set(threads.values()) == {1, 3}
    declared = {node.name: node.mem_gb for node in graph}
    for step in memory.STEPS:
        assert declared[step] == memory.step_memory(step, session.dwi[0].path)


@pytest.mark.slow
def test_steps_take_no_more_memory_than_they_declare():
    """Measured on two series, in processes of their own; the larger one by its growth as well."""
    script = Path(__file__).parents[3] / "benchmarks" / "step_memory.py"
    command = [sys.executable, script, "24,24,16,8", "32,32,24,64"]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [[cell.strip() for cell in line.split("|")[3:6]] for line in table.splitlines()[2:]]
    declared = {step: [float(d) for s, d, _ in rows if s == step] for step, *_ in rows}
    measured = {step: [float(m) for s, _, m in rows if s == step] for step, *_ in rows}
    assert set(declared) == {"prepare_diffusion", "apply_correction"}
    for step, (small, large) in measured.items():
        assert small <= declared[step][0]
        assert large <= declared[step][1]
        assert large - small <= declared[step][1] - declared[step][0]


def test_series_that_cannot_be_read_is_left_to_its_step(tmp_path):
    path = tmp_path / "dwi.nii.gz"
    path.write_bytes(b"no image")
    base = memory.STEPS["prepare_diffusion"].base
    assert memory.step_memory("prepare_diffusion", path) == base
    image((50, 50, 50, 47), (2.0,) * 3).to_filename(path)
    assert memory.step_memory("prepare_diffusion", path) > base + 0.1
