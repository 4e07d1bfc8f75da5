"""People of the distortion estimator: rendered once, with what a generator makes of their T1w."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_gan.models import blip, data
from bids_gan.models.data import Folders, training_data
from bids_gan.simulate.blip import MAPS, Scene

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

    def render(head, rng, synthetic_fa):
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
        def __init__(self, people, batch, seed):
            groups.append((len(people), seed))

        def batch(self, step):
            return {"input": torch.zeros(1, 9, 2, 2, 2) + step}

    monkeypatch.setattr(blip, "BlipRuns", Runs)
    batches, validation = training_data(RECIPE, Folders(label_maps=tmp_path), tmp_path / "cache")
    assert groups == [(4, 1), (2, 2)]
    assert float(batches(3)["input"].mean()) == 3
    assert len(list(validation())) == blip.VALIDATION_STEPS
    assert data.blip_runs is blip.blip_runs


def test_generator_works_at_one_millimetre_in_the_right_place():
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.standard_normal((24, 28, 20)), 2)
    t1w = (0.5 + 0.1 * noise / noise.std()).clip(0, 1).astype(np.float32)
    brain = np.zeros(t1w.shape, bool)
    brain[4:-4, 5:-5, 3:-3] = True
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = (-12, 7, 30)
    sizes = []

    class Generator(torch.nn.Conv3d):
        def forward(self, x):
            sizes.append(x.shape[2:])
            return torch.cat([torch.logit(x[:, :1].clamp(0.01, 0.99)), 0 * x[:, :1]], dim=1)

    card = SimpleNamespace(inputs=("T1w", "position"), network={}, text={})
    model = SimpleNamespace(network=Generator(1, 1, 1), card=card)
    scene = Scene(t1w, brain, 2 * brain, affine, np.eye(4))
    image = blip.generated(scene, model)
    inside = ndimage.binary_erosion(brain, iterations=2)
    assert image.shape == t1w.shape
    assert sizes[0][0] == pytest.approx(1.5 * 16 + 8, abs=2)
    assert np.abs(image - t1w)[inside].max() < 0.05
    assert not image[0].any()
