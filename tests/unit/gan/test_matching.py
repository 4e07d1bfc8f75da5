"""Correlation under shifts finds a shift; the displacement method scores what it should."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_gan.distortion.forward import distort
from bids_gan.gan.losses.image import gaussian_nll
from bids_gan.gan.methods.displacement import Displacement, displacement_heads
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.low_order import low_order
from bids_gan.gan.networks.matching import (
    _MOVES,
    MatchingUNet,
    sample_at,
    shifted_correlation,
)

SMALL = {"kind": "matching-unet", "in_channels": 9, "out_channels": 5, "widths": [8, 8]}


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
    assert output.shape == (2, 5, 13, 10, 11)
    output.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_expected_shift_points_the_right_way():
    fixed = textured()
    x = torch.zeros(1, 9, 24, 16, 20)
    x[:, 0], x[:, 3], x[:, 5] = torch.roll(fixed, 2, dims=2)[:, 0], fixed[:, 0], 1
    expected = MatchingUNet(9, 5, (8, 8))._matches(x)[0, -1, 3:9, 2:6, 2:8]
    assert float(expected.mean()) > 0.5


@pytest.mark.parametrize("axis", [3, 4])
@pytest.mark.parametrize("shift", [-1, 1])
def test_misalignment_along_other_axes_is_seen(axis, shift):
    fixed = textured((24, 24, 24))
    x = torch.zeros(1, 9, 24, 24, 24)
    x[:, 0], x[:, 3], x[:, 5] = torch.roll(fixed, shift, dims=axis)[:, 0], fixed[:, 0], 1
    across = MatchingUNet(9, 5, (8, 8))._matches(x)[0, 18:26, 3:9, 3:9, 3:9].mean((1, 2, 3))
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
    right = MatchingUNet(9, 5, (8, 8))._put_right(x, mm, torch.zeros(1, 3, 32, 8, 8))[0]
    before = np.abs(recorded - signal)[4:-4].mean()
    assert np.abs(right[0].numpy() - signal)[4:-4].mean() < 0.35 * before
    # what has no signal is moved only, and what lies in place stays
    assert not torch.allclose(right[2], x[0, 2])
    assert torch.equal(right[3:], x[0, 3:])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_misalignment_that_is_put_right_leaves_the_other_images_in_place(axis):
    image = textured((24, 24, 24))
    x = image.repeat(1, 9, 1, 1, 1)
    x[:, 3:6] = torch.roll(x[:, 3:6], 2, dims=2 + axis)
    apart = torch.zeros(1, 3, 24, 24, 24)
    apart[:, axis] = 8.0  # two voxels of 4 mm: there the content of a place is shown
    right = MatchingUNet(9, 5, (8, 8))._put_right(x, torch.zeros(1, 1, 24, 24, 24), apart)
    inner = (..., *[slice(4, -4)] * 3)
    assert torch.allclose(right[:, 3:6][inner], image.expand(1, 3, 24, 24, 24)[inner], atol=1e-4)
    others = [0, 1, 2, 6, 7, 8]
    assert torch.equal(right[:, others], x[:, others])


def test_images_are_read_between_voxels_and_end_in_zero():
    ramp = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 4, 5)
    shift = torch.zeros(1, 3, 6, 4, 5)
    shift[:, 0] = 0.25
    found = sample_at(ramp, shift)[0, 0, :, 2, 2]
    assert torch.allclose(found, torch.tensor([0.25, 1.25, 2.25, 3.25, 4.25, 3.75]), atol=1e-5)


def test_move_is_found_from_a_part_of_the_image_and_noise_is_not_kept():
    generator = torch.Generator().manual_seed(0)
    size = (12, 14, 10)
    grid = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij"))
    matrix = torch.tensor([[0.0, -0.3, 0.2], [0.3, 0.0, 0.1], [-0.2, -0.1, 0.0]])
    move = torch.einsum("ij,jxyz->ixyz", matrix, grid)[None] + 0.5
    weight = (grid.square().sum(0) < 0.8).float()[None, None]
    noise = 0.3 * torch.randn(move.shape, generator=generator)
    junk = 50 * (1 - weight)  # where nothing counts
    found = low_order(move + noise + junk, weight, degree=1)
    inside = weight.bool().expand_as(move)
    assert float((found - move)[inside].abs().mean()) < 0.05
    assert float(found.abs().max()) <= float((move + noise)[inside].abs().max()) + 1e-5


def test_move_is_found_across_the_displacement():
    """Small rotation about each axis and a shift; along the first axis nobody can know a shift."""
    size = (48, 44, 40)
    image = textured(size, seed=3)
    middle = [torch.arange(n) - (n - 1) / 2 for n in size]
    x, y, z = 4.0 * torch.stack(torch.meshgrid(*middle, indexing="ij"))
    a, b, c = np.deg2rad([2.0, -1.5, 2.5])  # about the first, second and third axis
    turn = torch.stack([b * z - c * y, c * x - a * z, a * y - b * x])[None].float()
    shift = torch.tensor([2.0, -1.5, 1.0]).reshape(1, 3, 1, 1, 1)
    channels = image.repeat(1, 9, 1, 1, 1)
    channels[:, 5] = 1
    # content of a place is shown where the move takes it
    channels[:, 3:5] = sample_at(image.repeat(1, 2, 1, 1, 1), -(turn + shift) / 4)
    zero = torch.zeros(1, 1, *size)
    for bend in (zero, 4 * torch.sin(x / 30)[None, None]):
        distorted = channels.clone()
        for channel in (0, 2):
            moved = distort(image[0, 0].numpy(), (bend / 4)[0, 0].numpy(), "i", 1.0)
            distorted[0, channel] = torch.as_tensor(moved)
        found = MatchingUNet(9, 5, (8, 8))._aligned(distorted, zero, zero.repeat(1, 3, 1, 1, 1), 4)
        inner = (..., *[slice(8, -8)] * 3)
        error = (found - turn - shift * torch.tensor([0, 1, 1]).reshape(1, 3, 1, 1, 1))[inner]
        assert float(error.abs().mean()) < 0.15 * float((turn + shift)[inner].abs().mean())


def test_second_look_adds_to_the_first():
    torch.manual_seed(0)
    network = MatchingUNet(9, 5, (8, 8), passes=2).eval()
    x = torch.randn(1, 9, 16, 8, 8)
    x[:, 5] = 1
    zero = torch.zeros(1, 4, 16, 8, 8)
    with torch.no_grad():
        apart = network._aligned(x, zero[:, :1], zero[:, 1:], _MOVES)
        first = network._look(x, zero[:, :1], apart).float()
        apart = apart + low_order(first[:, 2:], x[:, 5:6])
        apart = network._aligned(x, first[:, :1], apart, 1)
        second = network._look(x, first[:, :1], apart)
        output = network(x)
    assert torch.allclose(output[:, :1], first[:, :1] + second[:, :1], atol=1e-5)
    assert torch.allclose(output[:, 1:2], second[:, 1:2], atol=1e-5)
    assert torch.allclose(output[:, 2:], apart + second[:, 2:], atol=1e-5)


def test_training_learns_from_every_look():
    torch.manual_seed(0)
    network = MatchingUNet(9, 5, (8, 8), passes=3).train()
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
        apart = torch.full((1, 3, 8, 8, 8), 0.25)
        return torch.cat([target / 2, 2 * sigma.log(), apart], dim=1)

    score = Displacement(torch.nn.Conv3d(1, 1, 1)).score(
        network,
        {
            "input": target,
            "target": target,
            "mask": mask,
            "misalignment": torch.ones(1, 3, 8, 8, 8),
        },
    )
    assert score["left"] == pytest.approx(0.5)
    assert score["mm"] == pytest.approx(float(target.abs().mean() / 2))
    assert score["rank"] == pytest.approx(1, abs=0.02)
    assert score["spread"] == pytest.approx(1, abs=0.05)
    assert score["misaligned"] == pytest.approx(0.75)


def test_method_descends():
    torch.manual_seed(0)
    method = Displacement(build_network(SMALL), learning_rate=1e-2)
    batch = {
        "input": torch.randn(1, 9, 8, 8, 8),
        "target": torch.full((1, 1, 8, 8, 8), 2.0),
        "mask": torch.ones(1, 1, 8, 8, 8),
        "misalignment": torch.full((1, 3, 8, 8, 8), -1.0),
    }
    network, optimiser = method.modules["generator"], method.optimisers["generator"]
    errors = []
    for step in range(25):
        optimiser.zero_grad()
        sum(method.losses(batch, step)["generator"].values()).backward()
        optimiser.step()
        mm, _, apart = displacement_heads(network(batch["input"]))
        found = ((mm, batch["target"]), (apart, batch["misalignment"]))
        errors.append([float((a - b).detach().abs().mean()) for a, b in found])
    assert all(np.array(errors[-1]) < 0.5 * np.array(errors[0]))
    assert set(method.preview(network, batch)) == {"input", "target", "output"}
