"""Coils warp and shade as physics has it."""

import numpy as np
import pytest
import torch

from bids_gan.simulate.coils import gradient_warp, receive_shading


def test_shading_is_smooth_and_positive():
    shading = receive_shading((24, 30, 20), np.random.default_rng(0))
    assert shading.shape == (24, 30, 20)
    assert shading.min() > 0
    assert np.abs(np.diff(shading, axis=0)).max() < 0.2


def test_gradients_warp_as_their_coils_do():
    axis = torch.linspace(-60, 60, 7)
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)

    class Rng:
        """Isocentre in the middle, 2 mm across and 3 mm along."""

        def normal(self, _, spread, size=None):
            return np.zeros(3) if size is None else np.array([2.0, 3.0])

    warp = gradient_warp(places, Rng())
    # the two transverse coils are built alike: a quarter turn about the bore changes nothing
    assert torch.allclose(warp[..., 0], warp.transpose(0, 1)[..., 1])
    # every component is harmonic, as a field without currents is
    step = 1.0
    for component in range(3):
        laplacian = -6 * gradient_warp(torch.tensor([30.0, 20.0, 40.0]), Rng())[component]
        for direction in torch.eye(3):
            for sign in (-step, step):
                place = torch.tensor([30.0, 20.0, 40.0]) + sign * direction
                laplacian += gradient_warp(place, Rng())[component]
        assert abs(float(laplacian)) < 1e-4
    top = gradient_warp(torch.tensor([0.0, 0.0, 90.0]), Rng())
    assert top.tolist() == pytest.approx([0, 0, 6])
