"""Correlation under shifts finds a shift; the displacement method scores what it should."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_gan.distortion.forward import distort
from bids_gan.gan.losses.image import gaussian_nll
from bids_gan.gan.methods.displacement import Displacement, displacement_heads
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.matching import MatchingUNet, shifted_correlation

SMALL = {"kind": "matching-unet", "in_channels": 9, "out_channels": 2, "widths": [8, 8]}


def textured(shape=(24, 16, 20), seed=0):
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    image = ndimage.gaussian_filter(noise, 1.5)
    return torch.as_tensor(image / image.std())[None, None]


@pytest.mark.parametrize("shift", [-3, 0, 2])
@pytest.mark.parametrize("contrast", [1.0, -2.0])
def test_best_correlation_is_at_the_shift(shift, contrast):
    fixed = textured()
    # recorded(y + shift) = fixed(y)
    moving = torch.roll(fixed, shift, dims=2) * contrast + 5
    found = shifted_correlation(moving, fixed, torch.ones_like(fixed), 4)
    middle = found[0, :, 4:8, 3:5, 3:7].mean((1, 2, 3)) * np.sign(contrast)
    assert found.shape == (1, 9, 12, 8, 10)
    assert int(middle.argmax()) - 4 == shift
    assert float(middle.max()) > 0.9


def test_nothing_is_found_outside_the_mask():
    fixed, mask = textured(), torch.zeros(1, 1, 24, 16, 20)
    mask[:, :, :8] = 1
    found = shifted_correlation(fixed, fixed, mask, 2)
    assert found[0, 2, :3].mean() > 0.9
    assert not found[0, :, 6:].any()


def test_network_takes_any_size_and_learns():
    torch.manual_seed(0)
    network = build_network(SMALL)
    x = torch.randn(2, 9, 13, 10, 11)
    x[:, 5] = 1
    output = network(x)
    assert output.shape == (2, 2, 13, 10, 11)
    output.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_expected_shift_points_the_right_way():
    fixed = textured()
    x = torch.zeros(1, 9, 24, 16, 20)
    x[:, 0], x[:, 3], x[:, 5] = torch.roll(fixed, 2, dims=2)[:, 0], fixed[:, 0], 1
    expected = MatchingUNet(9, 2, (8, 8))._matches(x)[0, -1, 3:9, 2:6, 2:8]
    assert float(expected.mean()) > 0.5


@pytest.mark.parametrize("axis", [3, 4])
@pytest.mark.parametrize("shift", [-1, 1])
def test_misalignment_along_other_axes_is_seen(axis, shift):
    fixed = textured((24, 24, 24))
    x = torch.zeros(1, 9, 24, 24, 24)
    x[:, 0], x[:, 3], x[:, 5] = torch.roll(fixed, shift, dims=axis)[:, 0], fixed[:, 0], 1
    across = MatchingUNet(9, 2, (8, 8))._matches(x)[0, 18:26, 3:9, 3:9, 3:9].mean((1, 2, 3))
    # of b=0: one voxel less and more along either axis
    assert int(across[:4].argmax()) == 2 * (axis - 3) + (shift > 0)


def test_displacement_that_is_put_right_leaves_the_image_in_place():
    rng = np.random.default_rng(0)
    signal = ndimage.gaussian_filter(rng.uniform(0.5, 1.5, (32, 8, 8)), 2).astype(np.float32)
    ramp = 3 * np.sin(np.linspace(0, np.pi, 32))[:, None, None] * np.ones((32, 8, 8))
    recorded = distort(signal, ramp.astype(np.float32), "i", 1.0)
    x = torch.zeros(1, 9, 32, 8, 8)
    x[0, 0], x[0, 1], x[0, 2] = torch.tensor(recorded), 1, torch.tensor(signal)
    mm = torch.tensor(4.0 * ramp, dtype=torch.float32)[None, None]
    right = MatchingUNet(9, 2, (8, 8))._put_right(x, mm)[0]
    before = np.abs(recorded - signal)[4:-4].mean()
    assert np.abs(right[0].numpy() - signal)[4:-4].mean() < 0.35 * before
    # what has no signal is moved only, and what lies in place stays
    assert not torch.allclose(right[2], x[0, 2])
    assert torch.equal(right[3:], x[0, 3:])


def test_second_look_adds_to_the_first():
    torch.manual_seed(0)
    network = MatchingUNet(9, 2, (8, 8), passes=2).eval()
    x = torch.randn(1, 9, 16, 8, 8)
    x[:, 5] = 1
    with torch.no_grad():
        first = network._look(x, torch.zeros(1, 1, 16, 8, 8))
        second = network._look(x, first[:, :1].float())
        output = network(x)
    assert torch.allclose(output[:, :1], first[:, :1] + second[:, :1], atol=1e-5)
    assert torch.allclose(output[:, 1:], second[:, 1:], atol=1e-5)


def test_training_learns_from_every_look():
    torch.manual_seed(0)
    network = MatchingUNet(9, 2, (8, 8), passes=3).train()
    assert {network._looks() for _ in range(40)} == {1, 2, 3}
    assert network.eval()._looks() == 3


def test_likelihood_is_best_at_the_variance_of_the_errors():
    error = torch.randn(4000, generator=torch.Generator().manual_seed(1)).reshape(1, 1, -1) * 3
    mask = torch.ones_like(error)
    for fairness in (0.0, 0.5):
        guess = torch.zeros(1, requires_grad=True)
        for _ in range(200):
            (slope,) = torch.autograd.grad(
                gaussian_nll(error, guess.expand_as(error), mask, fairness), guess
            )
            guess = (guess - 0.3 * slope).detach().requires_grad_()
        assert float(guess.detach().exp()) == pytest.approx(9, rel=0.1)


def test_scores_of_a_prediction_that_is_known():
    target = torch.linspace(-4, 4, 512).reshape(1, 1, 8, 8, 8)
    mask = torch.ones_like(target)
    sigma = target.abs() / 2  # the error of half the displacement

    def network(_):
        return torch.cat([target / 2, 2 * sigma.log()], dim=1)

    score = Displacement(torch.nn.Conv3d(1, 1, 1)).score(
        network, {"input": target, "target": target, "mask": mask}
    )
    assert score["left"] == pytest.approx(0.5)
    assert score["mm"] == pytest.approx(float(target.abs().mean() / 2))
    assert score["rank"] == pytest.approx(1, abs=0.02)
    assert score["spread"] == pytest.approx(1, abs=0.05)


def test_method_descends():
    torch.manual_seed(0)
    method = Displacement(build_network(SMALL), learning_rate=1e-2)
    batch = {
        "input": torch.randn(1, 9, 8, 8, 8),
        "target": torch.full((1, 1, 8, 8, 8), 2.0),
        "mask": torch.ones(1, 1, 8, 8, 8),
    }
    network, optimiser = method.modules["generator"], method.optimisers["generator"]
    errors = []
    for step in range(25):
        optimiser.zero_grad()
        method.losses(batch, step)["generator"]["nll"].backward()
        optimiser.step()
        mm, _ = displacement_heads(network(batch["input"]))
        errors.append(float((mm - batch["target"]).detach().abs().mean()))
    assert errors[-1] < 0.5 * errors[0]
    assert set(method.preview(network, batch)) == {"input", "target", "output"}
