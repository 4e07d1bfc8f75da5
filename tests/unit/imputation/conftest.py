"""The tiny person and the tiny model."""

import pytest
from tiny_person import make_person, write_model


@pytest.fixture(scope="session")
def person():
    return make_person()


@pytest.fixture(scope="session")
def card(tmp_path_factory):
    """Of an untrained CollaGAN of four contrasts."""
    return write_model(tmp_path_factory.mktemp("model"))
