"""A fingerprint of the program changes with all that decides a result, and with nothing else."""

import shutil

import pytest

from bids_gan.cli import program


@pytest.fixture
def fingerprint(tmp_path, monkeypatch):
    """Of a copy of the package, after a file of it was written."""
    kept = shutil.ignore_patterns("*.pyc", "*.safetensors", "niivue")
    package = shutil.copytree(program._PACKAGE, tmp_path / "bids_gan", ignore=kept)
    monkeypatch.setattr(program, "_PACKAGE", package)

    def of(name=None, text="", folder=package):
        if name:
            (folder / name).parent.mkdir(exist_ok=True)
            with (folder / name).open("a") as stream:
                stream.write(text)
        return program.fingerprint.__wrapped__()

    return of


@pytest.mark.parametrize(
    "name", ["distortion/quality.py", "data/gate.json", "models/distortion.json", "new.py"]
)
def test_it_changes_with_code_data_and_cards(fingerprint, name):
    before = fingerprint()
    assert len(before) == 8
    assert fingerprint(name, " ") != before


def test_it_stays_where_only_compiled_code_is_new(fingerprint):
    before = fingerprint()
    assert fingerprint("__pycache__/settings.cpython-311.pyc", "x") == before == fingerprint()
