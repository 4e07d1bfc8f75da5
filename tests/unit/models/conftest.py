"""Training pairs and a recipe so small that a model is trained in a second."""

import numpy as np
import pytest

from bids_gan.pairs.store import Pair, write_pair

RECIPE = {
    "name": "tiny",
    "method": "paired",
    "target": "FA",
    "inputs": ["T1w", "position"],
    "seed": 3,
    "network": {"in_channels": 4, "out_channels": 2, "widths": [16, 16]},
    "output": {"range": "fraction"},
    "data": {"patch": 16, "batch": 2},
    "people": {"train": ["01", "02"], "validation": ["03"], "test": []},
    "training": {
        "steps": 6,
        "freeze_statistics": 3,
        "warmup": 2,
        "validate_every": 3,
        "preview_every": 0,
        "learning_rate": 3e-3,
        "precision": "fp32",
        "workers": 0,
    },
    "card": {"Data": "noise", "Description": "a test", "Metrics": {"r": 0.1}},
}


@pytest.fixture
def recipe():
    return {key: dict(v) if isinstance(v, dict) else v for key, v in RECIPE.items()}


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory):
    """Three people of 20³ voxels whose target is one minus the input."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    mask = np.zeros((20, 20, 20), bool)
    mask[2:-2, 2:-2, 2:-2] = True
    for number, label in enumerate(("01", "02", "03")):
        t1w = np.where(mask, rng.uniform(0.2, 1, mask.shape), 0).astype(np.float32)
        target = np.where(mask, 1 - t1w, 0).astype(np.float32)
        look = {"grey_mean": 0.6 + number / 10}
        pair = Pair(t1w, mask, target, mask, np.eye(4), np.eye(4), 1, look)
        write_pair(folder, label, "FA", pair, {"Synthetic": True})
    return folder
