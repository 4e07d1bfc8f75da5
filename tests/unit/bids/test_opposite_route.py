"""Which images of opposite phase encoding a run is corrected with."""

import nibabel as nib
import numpy as np
import pytest
from bids_tree import AP, diffusion, write_dataset

from bids_gan.bids.plan import make_plan
from bids_gan.bids.queries import open_layout
from bids_gan.diffusion.reference import load_b0
from bids_gan.errors import DataError
from bids_gan.settings import Settings

T1W = {"sub-01/anat/sub-01_T1w.nii.gz": None}
PA = {**AP, "PhaseEncodingDirection": "j"}
ONE = {**T1W, **diffusion("sub-01/dwi/sub-01_dir-AP")}
BLIPS = {**ONE, **diffusion("sub-01/dwi/sub-01_dir-PA", PA)}
FIELD_MAP = "sub-01/fmap/sub-01_dir-PA_epi"


def routes(tmp_path, content, **given):
    root = write_dataset(tmp_path / "data", content)
    settings = Settings(root, tmp_path / "out", **given)
    made = make_plan(open_layout(settings), settings)
    found = {
        run.entities.get("direction"): (
            run.route,
            run.correction.opposite and run.correction.opposite.path.name,
        )
        for session in made.sessions
        for run in session.dwi
    }
    return found, [problem for session in made.refused for problem in session.problems]


def epi(**metadata):
    return {f"{FIELD_MAP}.nii.gz": None, f"{FIELD_MAP}.json": {**PA, **metadata}}


def test_two_runs_serve_each_other(tmp_path):
    found, _ = routes(tmp_path, BLIPS)
    assert found == {
        "AP": ("reverse-pe", "sub-01_dir-PA_dwi.nii.gz"),
        "PA": ("reverse-pe", "sub-01_dir-AP_dwi.nii.gz"),
    }


def test_synthetic_fa_and_nothing_can_be_asked_for(tmp_path):
    for sdc in ("synth", "none"):
        found, _ = routes(tmp_path / sdc, BLIPS, sdc=sdc)
        assert found == {"AP": (sdc, None), "PA": (sdc, None)}


def test_an_image_with_too_few_directions_still_serves(tmp_path):
    content = {**BLIPS, "sub-01/dwi/sub-01_dir-PA_dwi.bval": "0 0 0 0 0 0 0"}
    assert routes(tmp_path, content)[0] == {"AP": ("reverse-pe", "sub-01_dir-PA_dwi.nii.gz")}


def test_field_map_comes_before_diffusion(tmp_path):
    found, _ = routes(tmp_path, {**BLIPS, **epi()})
    assert found["AP"] == ("reverse-pe", "sub-01_dir-PA_epi.nii.gz")


@pytest.mark.parametrize(
    ("metadata", "meant"),
    [
        ({"IntendedFor": "dwi/sub-01_dir-AP_dwi.nii.gz"}, True),
        ({"IntendedFor": ["bids::sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"]}, True),
        ({"IntendedFor": "bids::sub-01/func/sub-01_task-rest_bold.nii.gz"}, False),
        ({"B0FieldIdentifier": "pepolar"}, True),
        ({"B0FieldIdentifier": ["other"]}, False),
        ({"B0FieldIdentifier": 5}, False),
        ({"PhaseEncodingDirection": "j-"}, False),
        ({"PhaseEncodingDirection": "i"}, False),
        ({"TotalReadoutTime": None}, False),
        ({}, False),  # the run asks for another one
    ],
)
def test_field_map_must_be_opposite_and_meant_for_the_run(tmp_path, metadata, meant):
    run = {**AP, "B0FieldSource": "pepolar"}
    content = {**T1W, **diffusion("sub-01/dwi/sub-01_dir-AP", run), **epi(**metadata)}
    found, _ = routes(tmp_path, content)
    assert found["AP"] == (
        ("reverse-pe", "sub-01_dir-PA_epi.nii.gz") if meant else ("synth", None)
    )


def test_missing_opposite_is_an_error_when_it_was_asked_for(tmp_path):
    found, (problem,) = routes(tmp_path, ONE, sdc="reverse-pe")
    assert found == {"AP": ("none", None)}
    for word in ("sub-01_dir-AP_dwi.nii.gz", "opposite to j-", "fmap/*_epi", "--sdc auto"):
        assert word in problem
    found, problems = routes(tmp_path / "warned", ONE, sdc="reverse-pe", sdc_on_failure="warn")
    assert (found, problems) == ({"AP": ("none", None)}, [])


def test_b0_of_an_image(tmp_path):
    data = np.random.default_rng(0).uniform(1, 2, (8, 8, 8, 3)).astype(np.float32)
    path, bval = tmp_path / "x.nii.gz", tmp_path / "x.bval"
    nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    bval.write_text("1000 5 1000")
    np.testing.assert_allclose(load_b0(path, bval).dataobj, data[..., 1])
    nib.save(nib.Nifti1Image(data[..., 0], np.eye(4)), tmp_path / "one.nii.gz")
    np.testing.assert_allclose(load_b0(tmp_path / "one.nii.gz", None).dataobj, data[..., 0])
    with pytest.raises(DataError, match="no such file"):
        load_b0(tmp_path / "none.nii.gz", None)
    for values, message in (("0 0", "2 b-values for the 3 volumes"), ("9e2 9e2 9e2", "no volume")):
        bval.write_text(values)
        with pytest.raises(DataError, match=message):
            load_b0(path, bval)
