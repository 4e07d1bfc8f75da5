"""A person as the simulation keeps it, without a label map."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_gan.simulate.blip import MAPS


@pytest.fixture(scope="package")
def person():
    """Ball of the size of a brain, with texture, as `render_person` gives it."""
    rng = np.random.default_rng(0)
    shape = (90, 100, 90)
    index = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    brain = (np.sqrt((index**2).sum(0)) < 36).astype(np.float32)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), 4)
    texture = 0.5 + 0.2 * texture / texture.std()
    field = np.exp(-((index - np.array([0, 20, -15])[:, None, None, None]) ** 2).sum(0) / 200)
    maps = {
        "b0": texture * brain, "FA": (1 - texture).clip(0, 1) * brain, "CSF": 0 * brain,
        "field": 50 * field, "brain": brain, "T2-like": texture * brain,
        "synthetic FA": (1 - texture).clip(0, 1) * brain, "brain of the T1w": brain,
    }  # fmt: skip
    return torch.as_tensor(np.stack([maps[name] for name in MAPS]).astype(np.float16))
