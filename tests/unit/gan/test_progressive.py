"""The grown GAN: fading in begins and ends where it should, phases come in order, no cheating."""

import pytest
import torch
from tiny import whole_and_resumed

from bids_gan.gan.methods.progressive import ProgressiveGAN, compare_people
from bids_gan.gan.networks.equalised import BatchDeviation, Equalised, PixelNorm
from bids_gan.gan.networks.progressive import (
    ProgressiveGenerator,
    double,
    halve,
    stage_and_share,
)
from bids_gan.gan.networks.progressive_critic import ProgressiveCritic

WIDTHS = (4, 3, 2)


def networks(dimensions=3):
    torch.manual_seed(0)
    return (
        ProgressiveGenerator(5, WIDTHS, dimensions=dimensions),
        ProgressiveCritic(WIDTHS, dimensions=dimensions),
    )


def grown(network, progress):
    network.progress.fill_(progress)
    return network


def make(dimensions=3):
    generator, critic = networks(dimensions)
    return ProgressiveGAN(generator, critic, len(WIDTHS), steps=14)


def batch(step, dimensions=3):
    random = torch.Generator().manual_seed(step)
    return {"input": torch.rand(3, 1, *(16,) * dimensions, generator=random)}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_sizes_double(dimensions, stage):
    generator, critic = networks(dimensions)
    image = grown(generator, stage)(torch.randn(2, 5))
    assert image.shape == (2, 1, *(4 * 2**stage,) * dimensions)
    assert grown(critic, stage)(image).shape == (2, 1)


@pytest.mark.parametrize("stage", [1, 2])
def test_generator_fades_in_from_the_stage_before_to_the_new_one_alone(stage):
    generator, _ = networks()
    z = torch.randn(2, 5)
    before = double(grown(generator, stage - 1)(z))
    alone = grown(generator, stage)(z)
    torch.testing.assert_close(grown(generator, stage - 1 + 1e-6)(z), before, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(grown(generator, stage - 1e-6)(z), alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, alone, atol=1e-2)
    middle = grown(generator, stage - 0.5)(z)
    torch.testing.assert_close(middle, (before + alone) / 2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_images_begin_without_a_checkerboard(dimensions):
    generator = networks(dimensions)[0]
    generator.template.bend.forward = lambda z: torch.zeros(len(z), sum(generator.template.parts))
    image = generator(torch.randn(2, 5))
    torch.testing.assert_close(double(halve(image)), image, atol=1e-4, rtol=1e-4)
    assert image.std() > 0.1


@pytest.mark.parametrize("stage", [1, 2])
def test_critic_fades_in_as_well(stage):
    _, critic = networks()
    x = torch.rand(3, 1, *(4 * 2**stage,) * 3)
    before = grown(critic, stage - 1)(halve(x))
    torch.testing.assert_close(grown(critic, stage - 1 + 1e-6)(x), before, atol=1e-4, rtol=1e-4)
    alone = grown(critic, stage)(x)
    torch.testing.assert_close(grown(critic, stage - 1e-6)(x), alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before, alone)


def test_phases_come_in_order():
    method = make()
    seen = [method.progress(step) for step in range(15)]
    # two steps of the first size, then twice as many of each, half of them to fade in
    expected = [0, 0, 0, 1 / 2, 1, 1, 1, 5 / 4, 3 / 2, 7 / 4, 2, 2, 2, 2, 2]
    assert seen == pytest.approx(expected, abs=1e-5)
    assert [stage_and_share(p)[0] for p in seen] == [0] * 2 + [1] * 4 + [2] * 9


def test_real_images_have_the_detail_of_generated_ones():
    method, image = make(), batch(0)["input"]
    assert torch.equal(method.shrunk(image, 2), image)
    assert torch.equal(method.shrunk(image, 1), halve(image))
    fading = method.shrunk(image, 1 + 1e-6)
    torch.testing.assert_close(fading, double(halve(image)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("step", [0, 3, 13])
def test_each_network_learns_from_its_own_loss_alone(step):
    method = make()
    losses = method.losses(batch(0), step)
    stage = stage_and_share(method.progress(step))[0]
    for name, terms in losses.items():
        assert all(torch.isfinite(term) for term in terms.values())
        for module in method.modules.values():
            module.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        other = next(m for n, m in method.modules.items() if n != name)
        assert all(p.grad is None for p in other.parameters())
        module = method.modules[name]
        blocks = getattr(module, "features", module).blocks
        learns = [p.grad is not None for p in blocks.parameters()]
        assert sum(learns) == 4 * stage  # two layers a stage, weight and bias
        assert all(
            torch.isfinite(p.grad).all()
            for p in method.modules[name].parameters()
            if p.grad is not None
        )


def test_resumed_in_the_middle_of_a_phase(tmp_path):
    whole, resumed = whole_and_resumed(lambda seed: make(), batch, tmp_path)
    assert float(whole.progress) == 2
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_preview_shows_the_same_vectors_again():
    method = make()
    network = grown(method.modules["generator"], 1)
    first, again = (method.preview(network, batch(0)) for _ in range(2))
    assert list(first) == ["real", "1", "2", "3"]
    assert all(volume.shape == (8, 8, 8) for volume in first.values())
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_collapse_is_seen():
    method = make()

    class Collapsed(torch.nn.Module):
        latent, progress = 5, torch.tensor(2.0)

        def forward(self, z):
            return torch.ones(len(z), 1, 16, 16, 16)

    found = method.score(Collapsed(), batch(0))
    assert found["diversity"] == pytest.approx(0)
    assert found["ms_ssim_generated"] == pytest.approx(1, abs=1e-4)
    assert found["ms_ssim_real"] < 0.5
    assert found["ms_ssim_across"] < 0.5
    assert found["mmd"] > 0.5


def test_real_people_among_each_other_are_as_different_as_real_people():
    images = batch(1)["input"]
    found = compare_people(images, images)
    assert found["diversity"] == pytest.approx(1)
    assert found["ms_ssim_generated"] == found["ms_ssim_real"] < found["ms_ssim_across"]
    assert found["mmd"] == pytest.approx(0, abs=1e-12)


def test_equalised_layers_start_with_one_variance_and_pixels_have_one_norm():
    torch.manual_seed(0)
    for inputs in (16, 256):
        out = Equalised(torch.nn.Linear(inputs, 500), gain=1.0)(torch.randn(200, inputs))
        assert float(out.detach().std()) == pytest.approx(1, abs=0.1)
    x = PixelNorm()(torch.randn(2, 6, 3, 3) * 7)
    torch.testing.assert_close(x.square().mean(1), torch.ones(2, 3, 3), atol=1e-4, rtol=1e-4)


def test_deviation_of_the_batch_is_a_channel_and_differentiable_for_equal_images():
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    out = BatchDeviation()(x)
    assert out.shape == (2, 4, 4, 4)
    out.sum().backward()
    assert torch.isfinite(x.grad).all()
    different = torch.stack([torch.zeros(1, 4, 4), torch.full((1, 4, 4), 2.0)])
    assert BatchDeviation()(different)[0, 1, 0, 0] == pytest.approx(1, abs=1e-4)
