"""The wrapper of the BIDS validator."""

import sys

import pytest
from bids_tree import write_dataset

from bids_gan.bids import validate as module
from bids_gan.bids.validate import validate
from bids_gan.errors import UsageError


def test_errors_name_file_and_code(tmp_path):
    root = write_dataset(tmp_path, {f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz": None for n in range(8)})
    result = validate(root)
    empty = [error for error in result.errors if error.startswith("EMPTY_FILE")]
    assert "/sub-00/anat/sub-00_T1w.nii.gz" in empty[0]
    assert "and 3 more" in empty[0]
    assert result.n_warnings > 0


@pytest.mark.parametrize("fault", ["absent", "broken"])
def test_validator_that_does_not_run(tmp_path, monkeypatch, fault):
    found = None if fault == "absent" else sys.executable
    monkeypatch.setattr(module.shutil, "which", lambda *_, **__: found)
    with pytest.raises(UsageError, match="--skip-bids-validation"):
        validate(tmp_path)
