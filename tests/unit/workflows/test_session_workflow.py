"""The graph of a session is whole."""

import pytest
from bids_tree import AP, diffusion, write_dataset
from nipype.pipeline.engine.utils import generate_expanded_graph

from bids_gan.bids.plan import make_plan
from bids_gan.bids.queries import open_layout
from bids_gan.settings import Settings
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
