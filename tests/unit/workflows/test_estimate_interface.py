"""Each route of a run reaches its own estimate with the files that the plan chose."""

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from nipype.interfaces.base import isdefined

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.anatomy.storage import save_anatomy
from bids_gan.bids.measured import MeasuredField
from bids_gan.bids.opposite import Opposite
from bids_gan.bids.route import Route
from bids_gan.diffusion import reference
from bids_gan.distortion import correct, correct_pair, measured, measurement
from bids_gan.errors import DataError
from bids_gan.interfaces.diffusion import CheckField, EstimateCorrection

SHAPE = (12, 12, 12)
FIELD = np.full(SHAPE, 7.0, np.float32)
VERDICT = {"accepted": True, "reasons": []}
SIGMA = np.full(SHAPE, 1.5, np.float32)
MOVED = np.eye(4)
MOVED[0, 3] = 3.0
#: what the plan chose for each route
ROUTES = {
    "measured": Route(
        "measured",
        "asked",
        measured=MeasuredField((Path("phasediff"),), Path("magnitude1"), (0.005, 0.007)),
    ),
    "reverse-pe": Route(
        "reverse-pe", "asked", opposite=Opposite(Path("pa"), Path("pa.bval"), "j", 0.05, {})
    ),
    "synth": Route("synth", "asked"),
    "none": Route("none", "asked"),
}


@pytest.fixture
def inputs(tmp_path):
    cube = np.zeros(SHAPE, np.float32)
    cube[3:9, 3:9, 3:9] = 1
    label = cube.astype(np.uint8)
    anatomy = Anatomy(cube, cube > 0, label, label, cube, np.eye(4), np.eye(4))
    given = {"anatomy": save_anatomy(anatomy, tmp_path / "anatomy.npz")}
    for name in ("reference", "fa", "synthetic_fa"):
        given[name] = tmp_path / f"{name}.nii"
        nib.save(nib.Nifti1Image(cube, np.eye(4)), given[name])
    return {**given, "pe_direction": "j-", "readout_time": 0.05}


@pytest.fixture
def estimates(monkeypatch):
    """Estimates that return at once, and with what each was called."""
    called = {}

    def stand_in(module, name, result):
        def function(*args, **_):
            called[name] = args
            return result

        monkeypatch.setattr(module, name, function)

    expected = SimpleNamespace(mm=FIELD, sigma_mm=SIGMA)
    estimate = SimpleNamespace(hz=FIELD, dwi_to_t1w=MOVED, expected=expected)
    found = SimpleNamespace(moved_degrees=0.0, moved_mm=3.0)
    stand_in(
        correct,
        "estimate_correction",
        SimpleNamespace(estimate=estimate, coregistration=found, quality=VERDICT),
    )
    both = SimpleNamespace(hz=FIELD, dwi_to_t1w=MOVED, quality=VERDICT)
    stand_in(measured, "correct_by_measurement", both)
    stand_in(correct_pair, "correct_by_pair", both)
    stand_in(correct, "expected_displacement", "the prior")
    stand_in(correct, "align", MOVED)
    stand_in(measurement, "load_measurement", "measurement")
    stand_in(reference, "load_b0", "the other image")
    return called


@pytest.mark.parametrize("name", ROUTES)
def test_route_leads_to_its_estimate(name, inputs, estimates, tmp_path):
    made = EstimateCorrection(correction=ROUTES[name], **inputs).run(cwd=str(tmp_path)).outputs
    assert (nib.load(made.field).get_fdata() == (0 if name == "none" else 7)).all()
    np.testing.assert_array_equal(np.loadtxt(made.dwi_to_t1w), MOVED)
    quality = json.loads(Path(made.quality).read_text())
    assert quality["rigid_translation_mm"] == pytest.approx(3)
    assert ("accepted" in quality) == (name != "none")
    assert isdefined(made.field_std) == (name == "synth")
    wanted = {
        "measured": {"load_measurement", "correct_by_measurement"},
        "reverse-pe": {"load_b0", "expected_displacement", "correct_by_pair", "align"},
        "synth": {"estimate_correction"},
        "none": {"align"},
    }
    assert set(estimates) == wanted[name]


def test_files_of_the_plan_are_read(inputs, estimates, tmp_path):
    for name in ("measured", "reverse-pe"):
        EstimateCorrection(correction=ROUTES[name], **inputs).run(cwd=str(tmp_path))
    paths, magnitude, echoes, units = estimates["load_measurement"]
    assert (paths, magnitude, echoes, units) == (
        (Path("phasediff"),),
        Path("magnitude1"),
        (0.005, 0.007),
        None,
    )
    assert estimates["correct_by_measurement"][0] == "measurement"
    assert estimates["correct_by_measurement"][2:] == ("j-", 0.05)
    first, second, _, prior = estimates["correct_by_pair"]
    assert prior == "the prior"
    assert (first.pe_direction, second.pe_direction) == ("j-", "j")
    assert second.image == "the other image"


@pytest.mark.parametrize("name", ["measured", "reverse-pe"])
def test_what_was_acquired_beside_gives_a_field_of_its_own(name, inputs, estimates, tmp_path):
    made = CheckField(correction=ROUTES[name], **inputs).run(cwd=str(tmp_path)).outputs
    assert (nib.load(made.field).get_fdata() == 7).all()
    assert json.loads(Path(made.quality).read_text()) == VERDICT
    assert "align" not in estimates  # the run is aligned once
    # what judges the synthetic images may not know them
    assert name == "measured" or estimates["correct_by_pair"][3] is None


@pytest.mark.parametrize(
    ("fault", "reason"), [(DataError("pa.nii.gz: cut short"), "cut short"), (None, "too steep")]
)
def test_no_fault_of_what_was_acquired_beside_stops_the_run(
    fault, reason, inputs, estimates, tmp_path, monkeypatch
):
    def refuse(*_):
        if fault:
            raise fault
        return SimpleNamespace(hz=FIELD, quality={"accepted": False, "reasons": ["too steep"]})

    monkeypatch.setattr(correct_pair, "correct_by_pair", refuse)
    made = CheckField(correction=ROUTES["reverse-pe"], **inputs).run(cwd=str(tmp_path)).outputs
    assert not isdefined(made.field)
    quality = json.loads(Path(made.quality).read_text())
    assert not quality["accepted"]
    assert reason in quality["reasons"][0]


@pytest.mark.parametrize(("axis", "mm"), [("i", 2), ("j", 3), ("k", 4)])
@pytest.mark.parametrize("sign", ["", "-"])
def test_spread_is_in_hz_whatever_the_phase_encoding(axis, mm, sign, inputs, estimates, tmp_path):
    """Positive, and through readout time and voxel size the millimetres expected."""
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    for name in ("reference", "fa"):
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), affine), inputs[name])
    given = {**inputs, "pe_direction": axis + sign, "readout_time": 0.05}
    made = EstimateCorrection(correction=ROUTES["synth"], **given).run(cwd=str(tmp_path)).outputs
    found = nib.load(made.field_std).get_fdata() * 0.05 * mm
    np.testing.assert_allclose(found, SIGMA, rtol=1e-5)
