"""The generator: shapes, space-to-depth, crop independence, folding."""

import pytest
import torch

from bids_gan.gan.networks.intensity_levels import IntensityLevels
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import (
    SpaceToDepthUNet,
    depth_to_space,
    fold_batch_norm,
    space_to_depth,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = SpaceToDepthUNet(2, 1, (16, 16, 32))
    net.train()
    with torch.no_grad():  # statistics that differ from their initial values
        for _ in range(3):
            net(torch.randn(2, 2, 16, 16, 16) * 2 + 1)
    return net.eval()


def test_space_to_depth_loses_nothing():
    x = torch.arange(2 * 3 * 4 * 6 * 8).reshape(2, 3, 4, 6, 8)
    y = space_to_depth(x)
    assert y.shape == (2, 24, 2, 3, 4)
    assert torch.equal(depth_to_space(y), x)
    assert set(y[0, :8, 0, 0, 0].tolist()) == set(x[0, 0, :2, :2, :2].flatten().tolist())


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 21, 30), (5, 40, 9)])
def test_any_size_goes_in_and_comes_out(network, shape):
    assert network(torch.randn(1, 2, *shape)).shape == (1, 1, *shape)


def test_folding_changes_nothing(network):
    x = torch.randn(1, 2, 24, 16, 32)
    with torch.no_grad():
        before = network(x)
        after = fold_batch_norm(network)(x)
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_result_does_not_depend_on_the_crop(network):
    """Far from the border a crop and the whole volume agree: no statistics of the crop enter."""
    x = torch.randn(1, 2, 16, 16, 160)
    with torch.no_grad():
        whole = network(x)[..., 64:96]
        crop = network(x[..., :128])[..., 64:96]
    torch.testing.assert_close(whole, crop, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_patch_discriminator_sees_70_voxels_of_condition_and_image(dimensions):
    """Receptive field by gradient: which inputs move one output."""
    torch.manual_seed(0)
    critic = PatchDiscriminator(2, base=2, dimensions=dimensions)
    x = torch.randn(1, 2, *(96,) * dimensions, requires_grad=True)
    scores = critic(x)
    middle = tuple(n // 2 for n in scores.shape[2:])
    scores[(0, 0, *middle)].backward()
    for channel in x.grad[0]:
        touched = (channel != 0).nonzero()
        assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [70] * dimensions


@pytest.mark.parametrize("dimensions", [2, 3])
def test_levels_say_how_near_an_intensity_is_to_each(dimensions):
    x = torch.tensor([[0.0, 0.5, 0.75], [2.0, 3.0, -1.0]]).reshape(2, 3, *(1,) * dimensions)
    x.requires_grad_()
    levels = IntensityLevels(5)(x)
    assert levels.shape == (2, 15, *(1,) * dimensions)
    levels = levels.reshape(2, 3, 5)
    torch.testing.assert_close(levels.sum(2), torch.ones(2, 3))
    assert levels[0].tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0.5, 0.5, 0, 0]]
    assert levels[1].argmax(1).tolist() == [4, 4, 0]
    levels[0, 2, 2].backward()
    assert x.grad.flatten()[2] == 2
    with pytest.raises(ValueError, match="levels = 1: two at least"):
        IntensityLevels(1)


def test_discriminator_of_levels_learns_what_one_of_intensities_does_not():
    """Images of the same mean and spread: one with tails, the other with two values."""

    def images(seed):
        random = torch.Generator().manual_seed(seed)
        flat = torch.rand(4, 1, 16, 16, 16, generator=random)
        return 1 + (flat - 0.5) * 12**0.5 * 0.25, 1 + (flat - 0.5).sign() * 0.25

    def gap(levels):
        torch.manual_seed(0)
        critic = PatchDiscriminator(1, base=8, layers=1, levels=levels)
        adam = torch.optim.Adam(critic.parameters(), 1e-3, (0.5, 0.999))
        for step in range(20):
            a, b = images(step)
            adam.zero_grad()
            ((critic(a) - 1).square().mean() + critic(b).square().mean()).backward()
            adam.step()
        a, b = images(99)
        return float((critic(a).mean() - critic(b).mean()).detach())

    assert gap(16) > 0.5 > 5 * abs(gap(0))
