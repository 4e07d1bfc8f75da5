"""One generator through whole volumes, cubes, slices and slices with neighbours."""

import itertools

import pytest
import torch
from torch import nn

from bids_gan.gan.inference import blending_weight, infer, run_network, tile_starts, tiled
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.slices import slice_by_slice, with_neighbours


class Local(nn.Module):
    """Three convolutions: sees 3 voxels to every side, whatever the crop."""

    def __init__(self, dimensions=3, channels=1):
        super().__init__()
        torch.manual_seed(0)
        convolution = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
        self.net = nn.Sequential(
            convolution(channels, 4, 3, padding=1),
            nn.ReLU(),
            convolution(4, 4, 3, padding=1),
            nn.ReLU(),
            convolution(4, 1, 3, padding=1),
        )

    def forward(self, x):
        return self.net(x)


def volume(*shape):
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(1)) + 0.1


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(24, 31, 17), (16, 16, 16), (5, 40, 33)])
def test_a_constant_network_gives_a_constant_volume(shape, overlap):
    blended = tiled(lambda part: torch.full_like(part, 3.0), volume(*shape), 16, overlap)
    torch.testing.assert_close(blended, torch.full((1, 1, *shape), 3.0))


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5])
def test_blending_weights_of_all_tiles_sum_to_one(overlap):
    # tiles that each say which one they are: the shares of all of them are one together
    length, tile, shares = 41, 16, []
    starts = tile_starts(length, tile, overlap)
    for chosen in range(len(starts)):
        calls = iter(range(len(starts)))
        x = volume(length, tile)
        shares.append(tiled(lambda p, n=chosen, c=calls: p * 0 + (next(c) == n), x, tile, overlap))
    torch.testing.assert_close(sum(shares), torch.ones(1, 1, length, tile))
    assert all((share >= 0).all() for share in shares)


def test_blending_weight_is_largest_in_the_middle_and_symmetric():
    weight = blending_weight(9)
    assert weight.shape == (9, 9, 9)
    assert weight[4, 4, 4] == weight.max() == 1
    torch.testing.assert_close(weight, weight.flip(0, 1, 2))
    assert weight[0, 0, 0] > 0


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("length", [16, 17, 40, 63, 64, 65])
def test_tiles_cover_the_axis_and_overlap_as_much_as_asked_for(length, overlap):
    starts = tile_starts(length, 16, overlap)
    assert starts[0] == 0
    assert starts[-1] == length - 16
    steps = [b - a for a, b in itertools.pairwise(starts)]
    assert all(0 < step <= 16 * (1 - overlap) for step in steps)


def test_overlap_is_a_share():
    for wrong in (1.0, -0.1, 25):
        with pytest.raises(ValueError, match="overlap"):
            tiled(lambda part: part, volume(8, 8, 8), 4, wrong)


def test_crop_independent_network_gives_the_same_in_tiles_as_at_once():
    network, x = Local().eval(), volume(48, 24, 48)
    with torch.no_grad():
        whole = infer(network, x)
        blended = infer(network, x, tile=24, overlap=0.5)
        abrupt = infer(network, x, tile=24, overlap=0.0)
    error = (blended - whole).abs()
    # three voxels from a border of a tile that is not one of the volume nothing differs; there
    # the tile hardly counts
    assert error.mean() < 1e-2 * whole.std()
    assert (abrupt - whole).abs().mean() > 10 * error.mean()


def test_instance_normalised_network_does_not():
    torch.manual_seed(0)
    network = ResNetGenerator(1, 1, base=4, blocks=1).eval()
    x = volume(32, 32, 32)
    x[..., 16:] *= 3
    with torch.no_grad():
        whole, blended = infer(network, x), infer(network, x, tile=16, overlap=0.5)
    assert (blended - whole).abs().mean() > 0.1 * whole.std()


def test_slice_by_slice_is_the_network_on_every_slice():
    network, x = Local(dimensions=2).eval(), torch.cat([volume(12, 9, 7), volume(12, 9, 7) * 2])
    with torch.no_grad():
        y = slice_by_slice(network, x, chunk=3)
        assert y.shape == (2, 1, 12, 9, 7)
        for n in range(2):
            for k in range(7):
                torch.testing.assert_close(y[n, :, :, :, k], network(x[n : n + 1, ..., k])[0])


def test_neighbouring_slices_are_channels_and_the_last_is_repeated():
    x = torch.arange(5.0).expand(1, 1, 2, 2, 5)
    x = torch.cat([x, 10 + x], dim=1)
    channels = with_neighbours(x, 1)[0, :, 0, 0]
    assert channels[:, 2].tolist() == [2, 12, 1, 11, 3, 13]
    assert channels[:, 0].tolist() == [0, 10, 0, 10, 1, 11]
    assert channels[:, 4].tolist() == [4, 14, 3, 13, 4, 14]
    assert with_neighbours(x, 2)[0, ::2, 0, 0, 2].tolist() == [2, 1, 3, 0, 4]
    assert torch.equal(with_neighbours(x, 0), x)


def test_a_network_of_slices_runs_over_volumes_with_tiles_or_without():
    array = volume(20, 18, 6)[0].numpy()
    flat = Local(dimensions=2, channels=3).eval()
    whole = run_network(flat, array, "fp32", neighbours=1)
    assert whole.shape == (1, 20, 18, 6)
    squares = run_network(flat, array, "fp32", tile=16, overlap=0.5, neighbours=1)
    torch.testing.assert_close(squares, whole, atol=5e-3, rtol=0)
    assert not torch.equal(squares, whole)
    # the neighbour matters
    changed = array.copy()
    changed[..., 3] = 0
    other = run_network(flat, changed, "fp32", neighbours=1)
    differs = (other - whole).abs().amax(dim=(0, 1, 2)) > 1e-6
    assert differs.tolist() == [False, False, True, True, True, False]


def test_empty_slices_of_a_volume_are_zero():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 3, 3, padding=1).requires_grad_(False)
    volume = torch.zeros(1, 1, 12, 12, 40)
    volume[..., 35:] = 1
    image = infer(network, volume, tile=8)
    assert image.shape == (1, 3, 12, 12, 40)
    assert (image[..., :32] == 0).all()
    assert (image[..., 35:] != 0).any()
