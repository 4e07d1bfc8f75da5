"""The classical generator, and networks by name."""

import pytest
import torch

from bids_gan.gan.inference import run_network, tiled
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.networks.unet import SpaceToDepthUNet


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 17, 30), (21, 10, 12)])
def test_any_size_goes_in_and_comes_out(shape):
    torch.manual_seed(0)
    network = ResNetGenerator(2, 1, base=4, blocks=1)
    x = torch.randn(1, 2, *shape)
    assert network(x).shape == (1, 1, *shape)


def test_statistics_are_those_of_the_batch_in_evaluation_too():
    torch.manual_seed(0)
    network = ResNetGenerator(1, 1, base=4, blocks=1)
    x = torch.randn(1, 1, 8, 8, 8)
    trained = network.train()(x)
    torch.testing.assert_close(network.eval()(x), trained)
    # a constant factor on the input leaves the normalised features, and so the output, alone
    torch.testing.assert_close(network(5 * x), trained, rtol=1e-2, atol=1e-3)


def test_built_by_name():
    spec = {"in_channels": 1, "out_channels": 2, "widths": [16, 16]}
    assert isinstance(build_network(spec), SpaceToDepthUNet)
    spec = {"kind": "resnet", "in_channels": 1, "out_channels": 1, "base": 4, "blocks": 1}
    assert isinstance(build_network(spec), ResNetGenerator)
    assert spec["kind"] == "resnet"
    with pytest.raises(ValueError, match=r"'vit'.*space-to-depth-unet.*resnet"):
        build_network({**spec, "kind": "vit"})
    with pytest.raises(ValueError, match=r"resnet.*depth"):
        build_network({**spec, "depth": 3})


@pytest.mark.parametrize("shape", [(24, 30, 41), (9, 16, 20)])
def test_tiles_of_a_local_function_give_what_the_whole_gives(shape):
    x = torch.rand(1, 2, *shape)
    x[..., :3] = 0
    blended = tiled(lambda part: part[:, :1] * 2 + 1, x, 16)
    seen = x.any(1, keepdim=True)
    assert blended.shape == (1, 1, *shape)
    torch.testing.assert_close(blended[seen], (x[:, :1] * 2 + 1)[seen], rtol=1e-4, atol=1e-4)


def test_tiles_are_cubes_of_the_size_asked_for_and_empty_ones_are_not_computed():
    sizes = []

    def network(part):
        sizes.append(tuple(part.shape[2:]))
        return part

    x = torch.zeros(1, 1, 16, 16, 64)
    x[..., :10] = 1
    tiled(network, x, 16)
    assert set(sizes) == {(16, 16, 16)}
    assert len(sizes) == 1
    assert not tiled(network, x * 0, 16).any()


def test_tile_is_passed_on():
    network = ResNetGenerator(1, 1, base=4, blocks=1).eval()
    volume = torch.rand(1, 20, 20, 20).numpy()
    whole = run_network(network, volume, "fp32")
    cubes = run_network(network, volume, "fp32", tile=12)
    assert whole.shape == cubes.shape == (1, 20, 20, 20)
    assert not torch.allclose(whole, cubes)


@pytest.mark.parametrize("spec", [{"kind": "resnet", "base": 4, "blocks": 1}, {"widths": [8]}])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_residual_generator_begins_as_the_identity_of_its_first_channel(spec, dimensions):
    spec = {"in_channels": 2, "out_channels": 1, "dimensions": dimensions, **spec}
    network = build_network({**spec, "residual": True}).eval()
    x = torch.rand(1, 2, *(12,) * dimensions)
    with torch.no_grad():
        assert torch.equal(network(x), x[:, :1])
        assert not torch.allclose(build_network(spec).eval()(x), x[:, :1], atol=0.1)
