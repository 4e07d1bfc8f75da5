"""What the T1w of a training looked like is measured, and kept in the card."""

import json
import shutil
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bids_gan.cli.model import main
from bids_gan.errors import DataError
from bids_gan.models.registry import FOLDER, available_targets, card_for_target, read_card
from bids_gan.models.seen import range_seen
from bids_gan.synthesis.generate import appearance


def prepared(img, network, *, name):
    """As if a third of the image were grey matter, of the brightness of its first voxel."""
    tissue = np.repeat([1, 2, 3], 4)
    t1w = np.where(tissue == 2, np.asarray(img.dataobj).flat[0], tissue / 3)
    mask = np.ones(tissue.shape, bool)
    return SimpleNamespace(t1w=t1w, tissue=tissue, mask=mask, affine=np.eye(4))


@pytest.fixture
def people(tmp_path):
    """T1w of three people."""
    for number, brightness in enumerate((0.5, 0.6, 0.7)):
        path = tmp_path / f"data/sub-{number}/anat/sub-{number}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        data = np.linspace(brightness, 1, 16**3, dtype=np.float32).reshape(16, 16, 16)
        nib.save(nib.Nifti1Image(data, np.eye(4)), path)
    return tmp_path / "data"


@pytest.fixture
def card(tmp_path):
    """A copy of a released card."""
    return shutil.copy(FOLDER / "t1w-to-fdg.json", tmp_path / "mine.json")


def test_range_of_a_dataset_goes_into_the_card(people, card, monkeypatch, capsys):
    monkeypatch.setattr("bids_gan.anatomy.prepare.prepare_t1w", prepared)
    before = read_card(card)
    assert main(["range", str(people), str(card)]) == 0
    after = read_card(card)
    assert after.text["RangeSeen"]["grey_mean"] == [
        0.6,
        pytest.approx(np.std([0.5, 0.6, 0.7]), abs=1e-4),
    ]
    # equal in all: a tenth of the mean, so that nobody is infinitely strange
    mean, spread = after.text["RangeSeen"]["csf_mean"]
    assert spread == pytest.approx(mean / 10, abs=1e-4)
    noted = {"RangeSeen": after.text["RangeSeen"], "RangePeople": 3}
    assert json.loads(capsys.readouterr().out) == noted
    assert after.text == before.text | noted


def test_dataset_without_t1w_is_refused(tmp_path, card, capsys):
    before = card.read_bytes()
    assert main(["range", str(tmp_path), str(card)]) == 2
    assert "no T1w" in capsys.readouterr().err
    assert card.read_bytes() == before


def test_missing_pair_is_named(tmp_path):
    with pytest.raises(DataError, match=r"sub-07.*bids-gan-model pairs"):
        range_seen(tmp_path, ["07"])


@pytest.mark.parametrize("target", available_targets())
def test_released_generators_know_their_range(target):
    card = card_for_target(target)
    features = appearance(prepared(nib.Nifti1Image(np.ones((1, 1, 1)), np.eye(4)), None, name=""))
    assert set(card.text["RangeSeen"]) == set(features)
    assert all(spread >= mean / 10 - 1e-3 for mean, spread in card.text["RangeSeen"].values())
