"""People of the distortion estimator: rendered once, with what a generator makes of their T1w."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.models import blip, data
from bids_gan.models.data import Folders, training_data
from bids_gan.simulate.blip import MAPS
from bids_gan.simulate.variety import PEOPLE, TRAINING

RECIPE = {
    "name": "tiny", "method": "displacement", "seed": 1,
    "network": {"in_channels": 9, "out_channels": 2},
    "data": {"batch": 1},
    "simulation": {"generator": "t1w-to-fa", "renders": 2},
    "label_maps": {"train": ["01", "02"], "validation": ["03"]},
}  # fmt: skip


@pytest.fixture
def rendering(monkeypatch, tmp_path):
    """Three label maps, and the list of those that were rendered."""
    done = []

    def render(head, rng, prepare):
        done.append(head)
        return np.full((len(MAPS), 4, 4, 4), rng.random())

    for person in ("01", "02", "03"):
        (tmp_path / f"training_seg_{person}.nii.gz").touch()
    monkeypatch.setattr(blip, "load_label_map", lambda path: path.name)
    monkeypatch.setattr(blip, "prepare_head", lambda labels: labels)
    monkeypatch.setattr(blip, "render_person", render)
    return done


def test_people_are_rendered_once(rendering, tmp_path):
    for _ in range(2):
        people = blip.rendered_people(RECIPE, tmp_path, tmp_path / "cache", "train")
    assert len(people) == 4
    assert sorted(rendering) == sorted(2 * [f"training_seg_{p}.nii.gz" for p in ("01", "02")])
    assert float(people[0].mean()) != float(people[1].mean())


def test_recipe_leads_to_them(rendering, tmp_path, monkeypatch):
    groups = []

    class Runs:
        def __init__(self, people, batch, seed, variety=PEOPLE):
            groups.append((len(people), seed, variety))

        def batch(self, step):
            return {"input": torch.zeros(1, 9, 2, 2, 2) + step}

    monkeypatch.setattr(blip, "BlipRuns", Runs)
    batches, validation = training_data(RECIPE, Folders(label_maps=tmp_path), tmp_path / "cache")
    assert groups == [(4, 1, TRAINING), (2, 2, PEOPLE)]
    assert float(batches(3)["input"].mean()) == 3
    assert len(list(validation())) == blip.VALIDATION_STEPS
    assert data.blip_runs is blip.blip_runs


def test_guides_are_what_the_application_makes_of_the_t1w(monkeypatch):
    rng = np.random.default_rng(0)
    shape, affine = (12, 14, 10), np.diag([1.0, 1.0, 1.0, 1.0])
    mask = np.zeros(shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    tissue = (rng.integers(1, 4, shape) * mask).astype(np.uint8)
    anatomy = Anatomy(
        t1w=(tissue / 3).astype(np.float32), mask=mask, tissue=tissue, structures=tissue,
        white=(tissue == 3).astype(np.float32), affine=affine, to_mni=np.eye(4),
    )  # fmt: skip
    half = np.diag([2.0, 2.0, 2.0, 1.0])
    fa = np.full((6, 7, 5), 0.4, np.float32)
    calls = []

    def prepare(image, network):
        calls.append((image, network))
        return anatomy

    monkeypatch.setattr(blip, "prepare_t1w", prepare)
    monkeypatch.setattr(blip, "synthesise", lambda *_: SimpleNamespace(mean=fa, affine=half))
    found = blip.prepared("the T1w", "network", "generator")
    assert calls == [("the T1w", "network")]
    assert found.brain is mask
    assert found.t2[tissue == 1].min() > found.t2[tissue == 3].max() > 0
    assert not found.t2[~mask].any()
    assert found.synth_fa.shape == shape
    assert np.allclose(found.synth_fa[3:-3, 3:-3, 3:-3], 0.4, atol=1e-5)
