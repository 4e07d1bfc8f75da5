"""What the figures of a diffusion run show and what they are called."""

import json

import nibabel as nib
import numpy as np
import pytest

from bids_gan.interfaces.figures import DrawRun

FLICKER = ("sdcb0", "sdcFA", "sdccolour")
SHAPE = (12, 12, 12)


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Figures of a small run of eight volumes by name, as text."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, np.float32)
    brain[2:-2, 2:-2, 2:-2] = 1
    given = {}
    for name in ("reference", "dwiref", "fa_uncorrected", "fa", "synth_fa", "brain_mask", "field"):
        data = brain if name == "brain_mask" else brain * rng.random(SHAPE, np.float32)
        given[name] = tmp_path / f"{name}.nii"
        nib.save(nib.Nifti1Image(data, np.diag([3, 3, 3, 1])), given[name])
    for name in ("color_uncorrected", "color"):
        given[name] = tmp_path / f"{name}.nii"
        data = rng.random((*SHAPE, 3), np.float32)
        nib.save(nib.Nifti1Image(data, np.diag([3, 3, 3, 1])), given[name])
    directions = np.hstack([np.zeros((3, 1)), np.random.default_rng(1).standard_normal((3, 7))])
    directions[:, 1:] /= np.linalg.norm(directions[:, 1:], axis=0)
    rows = [" ".join(map(str, row)) for row in directions]
    texts = {"bval": "0" + " 1000" * 7, "bvec": "\n".join(rows)}
    for name, text in texts.items():
        given[name] = tmp_path / name
        given[name].write_text(text)
    given["motion"] = tmp_path / "motion.npz"
    np.savez(given["motion"], matrices=np.tile(np.eye(4), (8, 1, 1)), fd=np.zeros(8))

    given["field_std"] = given["field"]

    def drawn(route, **quality):
        given["quality"] = tmp_path / "quality.json"
        given["quality"].write_text(json.dumps(quality))
        step = DrawRun(route=route, pe_direction="j", readout_time=0.05, **given)
        figures = step.run().outputs.figures
        return {name: open(path).read() for name, path in figures.items()}

    return drawn


def test_a_correction_that_was_kept_is_called_one(draw):
    figures = draw("synth", accepted=True)
    assert set(figures) == {*FLICKER, "motion", "gradients", "fieldmap", "displacement"}
    for name in FLICKER:
        assert "before correction" in figures[name]
        assert "after correction" in figures[name]
    assert "withdrawn" not in "".join(figures.values())
    assert "standard deviation of the displacement" in figures["fieldmap"]


def test_what_was_withdrawn_is_not_shown_as_a_correction(draw):
    figures = draw("synth", accepted=False)
    for name in FLICKER:
        assert "after correction of head motion alone" in figures[name]
        assert "withdrawn" in figures[name]
    assert "field that was withdrawn" in figures["fieldmap"]


def test_images_are_shown_where_no_distortion_was_corrected_and_no_field_is(draw):
    figures = draw("none")
    assert set(figures) == {*FLICKER, "motion", "gradients"}
    for name in FLICKER:
        assert "distortion not corrected" in figures[name]
