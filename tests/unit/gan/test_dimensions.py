"""Every network for slices and for volumes, of any size; what released models need stays."""

import itertools

import pytest
import torch

from bids_gan.gan.inference import tiled
from bids_gan.gan.networks.autoencoder import Autoencoder
from bids_gan.gan.networks.classifier import ClassifyingDiscriminator
from bids_gan.gan.networks.dense_discriminator import DenseDiscriminator
from bids_gan.gan.networks.factory import build_network
from bids_gan.gan.networks.layers import channels_last
from bids_gan.gan.networks.multiscale import MultiScaleDiscriminator
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.resnet import ResNetGenerator
from bids_gan.gan.networks.unet import depth_to_space, space_to_depth
from bids_gan.models.registry import load_network, released_cards

SIZES = {2: [(16, 16), (11, 17)], 3: [(16, 16, 16), (9, 14, 11)]}
CASES = [(d, size) for d, sizes in SIZES.items() for size in sizes]
GENERATORS = [
    ({"in_channels": 2, "out_channels": 1, "widths": [8, 8]}, 2),
    ({"kind": "resnet", "in_channels": 2, "out_channels": 1, "base": 2, "blocks": 1}, 2),
    (
        {
            "kind": "resnet", "in_channels": 2, "out_channels": 1, "base": 2, "blocks": 1,
            "padding": "zeros",
        },
        2,
    ),
    ({"kind": "unit", "in_channels": 2, "base": 2, "blocks": 2}, 2),
    ({"kind": "collagan", "contrasts": 3, "widths": [6, 6]}, 6),
]  # fmt: skip


@pytest.mark.parametrize(("dimensions", "size"), CASES)
@pytest.mark.parametrize(("spec", "channels"), GENERATORS)
def test_generators_give_an_image_of_the_size_they_get(spec, channels, dimensions, size):
    torch.manual_seed(0)
    network = build_network({**spec, "dimensions": dimensions})
    channels_last(network)
    x = torch.randn(2, channels, *size)
    assert network(x).shape == (2, 1, *size)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_autoencoder_is_made_for_one_size_and_says_so(dimensions):
    network = build_network(
        {
            "kind": "autoencoder", "size": 16, "latent": 5, "widths": [4, 4],
            "dimensions": dimensions,
        }
    )  # fmt: skip
    x = torch.randn(2, 1, *(16,) * dimensions)
    assert network.encode(x).shape == (2, 5)
    assert network(x).shape == x.shape
    with pytest.raises(ValueError, match=r"17.*made for \(16"):
        network(torch.randn(2, 1, *(17,) * dimensions))
    with pytest.raises(ValueError, match="size 18 is not a multiple of 4"):
        Autoencoder(1, 18, widths=(4, 4))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_discriminators_judge_slices_and_volumes(dimensions):
    x = torch.randn(2, 1, *(24,) * dimensions)
    assert PatchDiscriminator(1, 2, 1, dimensions)(x).shape == (2, 1, *(10,) * dimensions)
    assert DenseDiscriminator(1, 24, 2, 2, dimensions)(x).shape == (2, 1)
    scores, logits = ClassifyingDiscriminator(1, 4, 2, 3, dimensions)(x)
    assert scores.shape == (2, 1, *(3,) * dimensions)
    assert logits.shape == (2, 4)
    sizes = [score.shape[2] for score in MultiScaleDiscriminator(1, 2, 2, 3, dimensions)(x)]
    assert sizes == [6, 3, 1]


def test_dense_discriminator_sees_the_whole_image_and_needs_some():
    x = torch.randn(1, 1, 24, 24, requires_grad=True)
    DenseDiscriminator(1, 24, 2, dimensions=2)(x).sum().backward()
    assert (x.grad != 0).all()
    assert DenseDiscriminator(1, 16)(torch.randn(1, 1, 16, 16, 16)).shape == (1, 1)
    with pytest.raises(ValueError, match="size 15: 3 layers need images of 16"):
        DenseDiscriminator(1, 15)


def test_neighbouring_slices_are_further_channels():
    spec = {"in_channels": 2, "out_channels": 1, "widths": [8, 8], "dimensions": 2}
    assert build_network({**spec, "neighbours": 2})(torch.randn(1, 10, 9, 8)).shape[1] == 1
    autoencoder = {"kind": "autoencoder", "dimensions": 2, "neighbours": 1}
    for wrong in (
        {**spec, "dimensions": 3, "neighbours": 2},
        {**spec, "neighbours": -1},
        autoencoder,
    ):
        with pytest.raises(
            ValueError, match=r"neighbours = -?\d: .*dimensions = 2 and in_channels"
        ):
            build_network(wrong)


def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"dimensions = 4: 2 \(slices\) or 3"):
        ResNetGenerator(1, 1, 2, 1, dimensions=4)


def test_slices_are_rearranged_without_loss():
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    y = space_to_depth(x)
    assert y.shape == (2, 12, 2, 3)
    assert set(y[0, :4, 0, 0].tolist()) == set(x[0, 0, :2, :2].flatten().tolist())
    assert torch.equal(depth_to_space(y), x)


def test_tiles_of_a_slice():
    x = torch.rand(1, 1, 20, 33)
    blended = tiled(lambda part: 3 * part, x, 12)
    torch.testing.assert_close(blended, 3 * x, rtol=1e-4, atol=1e-4)


def numbers(layers, dimensions, normalised):
    """Parameters of convolutions (inputs, outputs, kernel), some with scale and shift."""
    weights = sum(a * b * k**dimensions + b for a, b, k in layers)
    return weights + normalised * sum(2 * b for _, b, _ in layers[:-1])


def lecture_generator(channels, b, blocks, dimensions):
    """c7s1-b, d2b, d4b, R4b × blocks, u2b, ub, c7s1-C; the last is not normalised."""
    layers = [(channels, b, 7), (b, 2 * b, 3), (2 * b, 4 * b, 3)]
    layers += 2 * blocks * [(4 * b, 4 * b, 3)]
    layers += [(4 * b, 2 * b, 3), (2 * b, b, 3), (b, channels, 7)]
    return numbers(layers, dimensions, normalised=True)


def lecture_discriminator(channels, b, dimensions):
    """Cb-C2b-C4b-C8b and a convolution to one score a patch, without normalisation."""
    widths = [channels, b, 2 * b, 4 * b, 8 * b, 1]
    layers = [(*pair, 4) for pair in itertools.pairwise(widths)]
    return numbers(layers, dimensions, normalised=False)


@pytest.mark.parametrize(
    ("channels", "base", "blocks", "dimensions", "millions"),
    [
        (1, 32, 9, 3, 8.55),  # of the lecture's group, in 3D
        (1, 32, 6, 3, 5.89),
        (1, 64, 9, 3, 34.1),  # of the paper, in 3D
        (1, 16, 6, 3, 1.48),
        (3, 64, 9, 2, 11.38),  # of the paper, for photographs of 256
        (3, 64, 6, 2, 7.84),  # and of 128
    ],
)
def test_number_of_parameters_of_the_generator(channels, base, blocks, dimensions, millions):
    with torch.device("meta"):
        network = ResNetGenerator(channels, channels, base, blocks, dimensions)
    found = sum(p.numel() for p in network.parameters())
    assert found == lecture_generator(channels, base, blocks, dimensions)
    assert found / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    ("channels", "base", "dimensions", "millions"),
    [(1, 32, 3, 2.77), (1, 64, 3, 11.05), (3, 64, 2, 2.76), (6, 64, 2, 2.77)],
)
def test_number_of_parameters_of_the_discriminator(channels, base, dimensions, millions):
    # spectral normalisation keeps its vectors in buffers, so the weights alone are counted
    network = PatchDiscriminator(channels, base, dimensions=dimensions)
    found = sum(p.numel() for p in network.parameters())
    assert found == lecture_discriminator(channels, base, dimensions)
    assert found / 1e6 == pytest.approx(millions, rel=0.005)


def test_released_weights_fit():
    for card in released_cards():
        load_network(card)


def test_reflection_erases_a_label_and_zeros_let_it_through():
    """Instance normalisation subtracts a channel that is constant to the border and beyond."""
    effects = {}
    for padding in ("reflect", "zeros"):
        torch.manual_seed(0)
        network = ResNetGenerator(3, 1, base=4, blocks=1, padding=padding)
        image = torch.rand(1, 1, 12, 12, 12)
        outputs = []
        for label in (0, 1):
            channels = torch.zeros(1, 2, 12, 12, 12)
            channels[:, label] = 1
            outputs.append(network(torch.cat([image, channels], dim=1)).detach())
        spread = outputs[0].std()
        effects[padding] = float((outputs[0] - outputs[1]).abs().mean() / spread)
    assert effects["reflect"] < 1e-3
    assert effects["zeros"] > 0.05


def test_unit_shares_the_blocks_next_to_the_latent_space():
    network = build_network({"kind": "unit", "base": 2, "blocks": 2})
    x = torch.rand(1, 1, 12, 12, 12)
    network.decode(network.encode(x, "source"), "source").sum().backward()
    touched = {
        name.split(".net")[0] for name, p in network.named_parameters() if p.grad is not None
    }
    assert touched == {"encoders.source", "decoders.source", "last_encoded", "first_decoded"}
