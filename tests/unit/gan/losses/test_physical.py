"""Models of acquisitions against their counterparts in NumPy, and against data they explain."""

import numpy as np
import pytest
import torch
from loss_cases import picture

from bids_gan.distortion.forward import distort
from bids_gan.gan.losses.physical import (
    acquisition_difference,
    epi_difference,
    epi_distortion,
    fractional_anisotropy,
    spoiled_gradient_echo,
    undersampled,
)
from bids_gan.simulate import physics


def wavy(shape, height):
    place = torch.linspace(0, 3, shape[-2])
    return (height * torch.sin(place)[:, None]).expand(1, 1, *shape).double()


@pytest.mark.parametrize(("axis", "direction"), [(0, "i"), (1, "j"), (2, "k-")])
@pytest.mark.parametrize("height", [0.0, 1.3, -4.0])
def test_distortion_is_that_of_the_simulation(axis, direction, height):
    image, shift = picture(3, 12), wavy((12, 12, 12), height)
    sign = -1 if direction.endswith("-") else 1
    wanted = distort(image[0, 0].numpy(), sign * shift[0, 0].numpy(), direction, 1.0)
    found = epi_distortion(image, shift, axis)[0, 0].numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_distortion_of_slices_conserves_signal_and_leaves_all_in_place_without_a_shift():
    image = torch.zeros(1, 2, 16, 16).double()
    image[..., 5:11, 5:11] = picture(2, 6)
    assert torch.allclose(epi_distortion(image, torch.zeros(1, 1, 16, 16), 0), image)
    moved = epi_distortion(image, wavy((16, 16), 2.7), 1)
    assert not torch.allclose(moved, image)
    torch.testing.assert_close(moved.sum((2, 3)), image.sum((2, 3)))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_echo_planar_readout_costs_nothing_when_the_image_explains_it(dimensions):
    image, mask = picture(dimensions, 12), torch.ones(1, 1, *(12,) * dimensions)
    shift = 3 * picture(dimensions, 12, 5)
    acquired = epi_distortion(image, shift, axis=1)
    assert epi_difference(image, acquired, mask, shift) == 0
    assert epi_difference(image, acquired, mask, -shift) > 1e-3
    assert epi_difference(acquired, acquired, mask, shift) > 1e-3


def test_steady_state_is_that_of_the_simulation():
    rng = np.random.default_rng(0)
    density, t1 = rng.uniform(0.5, 1, 50), rng.uniform(0.3, 4, 50)
    t2star = rng.uniform(0.02, 0.2, 50)
    wanted = physics.spoiled_gradient_echo(density, t1, t2star, 0.02, 0.005, 18.0)
    maps = torch.as_tensor(np.stack([density, t1, t2star])).reshape(1, 3, 5, 10)
    found = spoiled_gradient_echo(maps, 0.02, 0.005, 18.0).flatten().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert spoiled_gradient_echo(0 * maps, 0.02, 0.005, 18.0).abs().max() == 0


def test_anisotropy_is_that_of_the_eigenvalues_in_any_unit():
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(30, 3, 3))
    tensors = roots @ roots.transpose(0, 2, 1)
    values = np.linalg.eigvalsh(tensors)
    spread = np.sqrt(((values - values.mean(1, keepdims=True)) ** 2).sum(1))
    wanted = np.sqrt(1.5) * spread / np.sqrt((values**2).sum(1))
    entries = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    packed = torch.as_tensor(np.stack([tensors[:, a, b] for a, b in entries]))
    packed = packed.reshape(1, 6, 30, 1, 1)
    for unit in (1.0, 1e-3):
        found = fractional_anisotropy(unit * packed).flatten().numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    sphere = torch.tensor([1.0, 1, 1, 0, 0, 0]).reshape(1, 6, 1, 1, 1).requires_grad_()
    value = fractional_anisotropy(sphere)
    value.backward()
    assert value == 0
    assert sphere.grad.isfinite().all()
    assert fractional_anisotropy(0 * sphere) == 0


def test_undersampling_keeps_what_was_read():
    image = picture(3, 8)
    everything = torch.ones(8, 8, 8)
    torch.testing.assert_close(undersampled(image, everything).real, image)
    half = everything.clone()
    half[3:6] = 0
    acquired = undersampled(image, half)
    torch.testing.assert_close(undersampled(acquired, half), acquired)
    assert not torch.allclose(acquired.real, image)


MODELS = {
    "epi": lambda x: epi_distortion(x, wavy(tuple(x.shape[2:]), 1.7), 0),
    "k-space": lambda x: undersampled(x, (torch.arange(x.shape[-1]) % 3 < 2).double()),
    "spgr": lambda x: spoiled_gradient_echo(x.expand(-1, 3, *x.shape[2:]), 0.02, 0.005, 18.0),
    "tensor": lambda x: fractional_anisotropy(
        torch.cat([x, x.square(), 1 + x, 0.1 * x, 0.2 * x, 0 * x], 1)
    ),
}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_data_that_the_image_explains_cost_nothing(name, dimensions):
    model = MODELS[name]
    image = (0.2 + picture(dimensions, 6)).requires_grad_()
    mask = torch.ones_like(image)
    acquired = model(image.detach())
    assert acquisition_difference(image, acquired, mask, model) < 1e-12
    other = acquired * 1.2 + 0.1
    assert torch.autograd.gradcheck(
        lambda x: acquisition_difference(x, other, mask, model), image, fast_mode=True
    )
    values = [acquisition_difference(image + e, acquired, mask, model) for e in (0.1, 0.2, 0.4)]
    assert 0 < values[0] < values[1] < values[2]
    assert acquisition_difference(image, other, 0 * mask, model) == 0


def test_what_was_not_read_cannot_be_judged():
    image, sampled = picture(2, 8), torch.ones(8, 8)
    sampled[4] = 0  # the highest frequency along the first axis
    stripes = 0.3 * (1 - 2 * (torch.arange(8) % 2)).double()[:, None].expand(1, 1, 8, 8)

    def model(x):
        return undersampled(x, sampled)

    mask = torch.ones_like(image)
    assert acquisition_difference(image + stripes, model(image), mask, model) < 1e-12
    assert acquisition_difference(image + 0.1, model(image), mask, model) > 1e-3
