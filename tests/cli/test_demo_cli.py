import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_gan.cli.demo import main
from bids_gan.itk import write_affine
from bids_gan.simulate.demo import write_demo

TRUTH = Path("derivatives/truth/sub-01")


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "bids", t1w_spacing=3.0)


@pytest.fixture
def derivatives(demo, tmp_path) -> Path:
    """What a perfect pipeline would have written."""
    run, out = "dwi/sub-01_dir-AP", tmp_path / "bids-gan" / "sub-01"
    for folder in ("dwi", "fmap"):
        (out / folder).mkdir(parents=True)
    for source, target in (
        ("fmap/sub-01_acq-truthAP_fieldmap", "fmap/sub-01_acq-synthFAAP_desc-preproc_fieldmap"),
        (f"{run}_desc-truth_S0map", f"{run}_dwiref"),
        (f"{run}_desc-truth_FA", f"{run}_desc-preproc_FA"),
        (f"{run}_desc-brain_mask", f"{run}_desc-uncorrected_FA"),
        ("dwi/sub-01_space-T1w_desc-truth_FA", "dwi/sub-01_space-T1w_desc-synth_FA"),
    ):
        shutil.copy(demo / TRUTH / f"{source}.nii.gz", out / f"{target}.nii.gz")
    sidecar = demo / TRUTH / f"{run}_from-dwi_to-T1w_mode-image_xfm.json"
    matrix = np.array(json.loads(sidecar.read_text())["Matrix"])
    # ITK maps points of the T1w to the diffusion image
    write_affine(np.linalg.inv(matrix), out / f"{run}_from-dwi_to-T1w_mode-image_xfm.txt")
    return out.parent


def test_comparison_of_a_perfect_result(demo, derivatives, capsys):
    assert main([str(demo), "--compare", str(derivatives)]) == 0
    table = capsys.readouterr().out
    assert "displacement error, median (mm)" in table
    assert table.count("    0.00") == 4


def test_withdrawn_correction_is_said(demo, derivatives, capsys):
    field = derivatives / "sub-01/fmap/sub-01_acq-synthFAAP_desc-preproc_fieldmap.nii.gz"
    field.rename(field.with_name(field.name.replace("preproc", "rejected")))
    assert main([str(demo), "--compare", str(derivatives)]) == 1
    assert "gate withdrew" in capsys.readouterr().out


def test_harmful_correction_fails(demo, derivatives, capsys):
    path = derivatives / "sub-01/fmap/sub-01_acq-synthFAAP_desc-preproc_fieldmap.nii.gz"
    field = nib.load(path)
    wrong = nib.Nifti1Image(-np.asarray(field.dataobj), field.affine)
    nib.save(wrong, path)
    assert main([str(demo), "--compare", str(derivatives)]) == 1
    assert "did not bring" in capsys.readouterr().out


def test_missing_field_map_is_named(demo, tmp_path, capsys):
    assert main([str(demo), "--compare", str(tmp_path)]) == 1
    assert "acq-synthFAAP_desc-preproc_fieldmap.nii.gz: no such file" in capsys.readouterr().err


def test_comparison_needs_a_demo(tmp_path, capsys):
    assert main([str(tmp_path), "--compare", str(tmp_path)]) == 2
    assert "not a folder that bids-gan-demo wrote" in capsys.readouterr().err


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
