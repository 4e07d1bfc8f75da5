"""Plans of the public test images."""

import shutil

import pytest

from bids_gan.bids.plan import format_plan, make_plan
from bids_gan.bids.queries import open_layout
from bids_gan.cli.run import main
from bids_gan.settings import Settings

pytestmark = pytest.mark.real


def plan(folder, tmp_path, **given):
    settings = Settings(folder, tmp_path / "out", **given)
    return make_plan(open_layout(settings), settings)


def test_xa30(test_data, tmp_path):
    for sdc, route in (("auto", "measured"), ("reverse-pe", "reverse-pe"), ("synth", "synth")):
        (session,) = plan(test_data / "xa30", tmp_path, sdc=sdc).runnable
        read = {
            run.entities["direction"]: (run.pe_direction, run.readout_time, run.route)
            for run in session.dwi
        }
        assert read == {"AP": ("j-", 0.0475693, route), "PA": ("j", 0.0475693, route)}


def test_xa30_readout_time_from_echo_spacing(test_data, tmp_path):
    root = tmp_path / "xa30"
    shutil.copytree(test_data / "xa30", root, copy_function=shutil.copyfile)
    root.chmod(0o755)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in root.glob("sub-01/dwi/*.json"):
        path.write_text(path.read_text().replace('"TotalReadoutTime"', '"Ignored"'))
    (session,) = plan(root, tmp_path).runnable
    for run in session.dwi:
        assert run.readout_time == pytest.approx(0.0475693, abs=1e-6)
        assert "EffectiveEchoSpacing x (72 - 1)" in run.readout_source


def test_canon61_is_refused_clearly(test_data, tmp_path, capsys):
    code = main([str(test_data / "canon61"), str(tmp_path / "out"), "participant"])
    assert code == 65
    text = " ".join(capsys.readouterr().out.split())
    for word in [
        "no T1w image",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/dwi/sub-01_dir-AP_dwi.json",
        "sub-01/dwi/sub-01_dir-PA_dwi.json",
        "PhaseEncodingAxis ('j') does not tell the sign",
        "add PhaseEncodingDirection, 'j' or 'j-'",
        "TotalReadoutTime is missing",
        "EffectiveEchoSpacing is missing",
        "--fallback-total-readout-time",
        "--sdc-on-failure warn",
        "--bids-filter-file",
        "0 of 1 sessions can be processed",
    ]:
        assert word in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["xa30", "canon61", "ds000011", "ds002748"])
def test_every_image_is_in_the_plan(test_data, tmp_path, name):
    folder = test_data / name
    text = format_plan(plan(folder, tmp_path))
    images = [*folder.rglob("*_T1w.nii.gz"), *folder.rglob("*_dwi.nii.gz")]
    assert images
    assert [image.name for image in images if image.name not in text] == []
