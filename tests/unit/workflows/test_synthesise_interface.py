"""What is noted of a synthesis: enough to say later which network made it, and from what."""

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bids_gan.anatomy import storage
from bids_gan.interfaces.anatomical import Synthesise
from bids_gan.models import registry
from bids_gan.synthesis import generate


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Run the step on a card; its network is not run, and the T1w is one SD from the mean."""
    monkeypatch.chdir(tmp_path)
    image = np.ones((2, 2, 2), np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "t1w.nii")
    (tmp_path / "anatomy.npz").write_text("")
    made = SimpleNamespace(mean=image, std=image, affine=np.eye(4))
    monkeypatch.setattr(storage, "load_anatomy", lambda path: None)
    monkeypatch.setattr(registry, "load_model", lambda card: None)
    monkeypatch.setattr(generate, "synthesise", lambda *_, **__: made)

    def noted(**card):
        text = json.loads((registry.FOLDER / "t1w-to-fa.json").read_text()) | card
        path = registry.write_card(tmp_path / "mine.json", text).path
        shifted = {name: mean + sd for name, (mean, sd) in text["RangeSeen"].items()}
        monkeypatch.setattr(generate, "appearance", lambda anatomy: shifted)
        given = {"anatomy": tmp_path / "anatomy.npz", "t1w": tmp_path / "t1w.nii"}
        step = Synthesise(model=path, device="cpu", **given)
        return text, json.loads(Path(step.run().outputs.record).read_text())

    return noted


def test_range_and_features_stand_beside_the_score(record):
    card, text = record()
    assert text["RangeSeen"] == card["RangeSeen"]
    assert set(text["Appearance"]) == set(card["RangeSeen"])
    assert text["OutOfDistribution"] == pytest.approx(1)
    _, text = record(RangeSeen={})
    assert (text["RangeSeen"], text["OutOfDistribution"]) == ({}, None)


def test_kind_of_network_is_noted(record):
    _, text = record()
    assert (text["Network"], text["NetworkDimensions"]) == ("space-to-depth-unet", 3)
    _, text = record(Network={"kind": "resnet", "dimensions": 2})
    assert (text["Network"], text["NetworkDimensions"]) == ("resnet", 2)
