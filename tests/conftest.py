"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# antspyx draws its samples anew at every call unless told otherwise
os.environ.setdefault("ANTS_RANDOM_SEED", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of the public test images; the test is skipped where the folder is absent."""
    given = os.environ.get("BIDS_GAN_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no test images at {folder}: set BIDS_GAN_TEST_DATA to the folder that holds them"
        )
    return folder.resolve()
