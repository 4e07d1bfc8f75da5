import pytest
from bids_tree import write_dataset

from bids_gan.bids.plan import make_plan
from bids_gan.bids.queries import find_unreadable, open_layout
from bids_gan.settings import Settings


@pytest.fixture
def plan(tmp_path):
    """Plan of a dataset of the given files, with the given settings."""

    def make(content, **given):
        root = write_dataset(tmp_path / "data", content)
        settings = Settings(root, tmp_path / "out", **given)
        unreadable = find_unreadable(settings)
        return make_plan(open_layout(settings, unreadable), settings, unreadable)

    return make
