import numpy as np
import pytest
from phantom import ORIENTATIONS, grid

from bids_gan.diffusion.gradients import from_world
from bids_gan.diffusion.tensor import fit_tensor
from bids_gan.simulate.epi import random_directions, simulate_dwi

SHAPE = (6, 5, 4)


def truth():
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(*SHAPE, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    return rng.uniform(0.2, 0.8, SHAPE), direction


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_recovers_simulated_tensors_in_world_axes(orientation):
    _, affine = grid(orientation)
    fa, direction = truth()
    gradients = from_world(
        np.r_[0.0, np.full(20, 1000.0)], np.r_[np.zeros((1, 3)), random_directions(20)], affine
    )
    s0, mask = np.full(SHAPE, 500.0), np.ones(SHAPE, bool)
    data = simulate_dwi(
        s0, fa, direction, 0.8e-3, mask, affine, gradients, np.zeros(SHAPE), "j", 0.05, 1e5, 0
    )
    maps = fit_tensor(data, affine, gradients, mask)
    assert np.allclose(maps.fa, fa, atol=0.01)
    assert np.allclose(maps.md, 0.8e-3, rtol=0.01)
    assert np.allclose(maps.s0, 500, rtol=0.01)
    assert np.abs((maps.evec * direction).sum(-1)).min() > 0.99


def test_bad_signals_stay_in_range():
    _, affine = grid("RAS")
    gradients = from_world(
        np.r_[0.0, np.full(6, 1000.0)], np.r_[np.zeros((1, 3)), random_directions(6)], affine
    )
    data = np.random.default_rng(0).normal(50, 100, (*SHAPE, 7))
    data[0] = 0
    data[1, ..., 3] = np.nan
    mask = np.ones(SHAPE, bool)
    mask[..., 0] = False
    maps = fit_tensor(data, affine, gradients, mask)
    for image in (maps.fa, maps.s0, maps.md, maps.evec, maps.color_fa):
        assert np.isfinite(image).all()
        assert np.all(image[..., 0] == 0) if image.ndim == 3 else np.all(image[..., 0, :] == 0)
    assert maps.fa.min() >= 0
    assert maps.fa.max() <= 1
    assert np.all(maps.fa[0] == 0)
