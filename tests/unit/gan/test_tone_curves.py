"""Tone curves and histograms: they see contrast at once, and keep or overlook what they should."""

import pytest
import torch
import torch.nn.functional as F

from bids_gan.gan.methods.stargan import StarGAN
from bids_gan.gan.networks.histogram_critic import HistogramDiscriminator, slope
from bids_gan.gan.networks.intensity_levels import compressed
from bids_gan.gan.networks.residual import Residual
from bids_gan.gan.networks.tone_curves import ToneCurves

SIZE = {2: (9, 14), 3: (9, 10, 14)}


def image(dimensions=3, seed=0, count=2):
    random = torch.Generator().manual_seed(seed)
    return 3 * torch.rand(count, 1, *SIZE[dimensions], generator=random)


def learn(network, batch, target, steps=60):
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(steps):
        loss = (F.softplus(network(batch)) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_curves_begin_near_white_matter_and_keep_the_size(dimensions):
    torch.manual_seed(0)
    x = torch.cat([image(dimensions)] * 3, dim=1)
    made = F.softplus(ToneCurves(3, 2, dimensions=dimensions)(x))
    assert made.shape == (2, 2, *SIZE[dimensions])
    assert float((made - 1).abs().max().detach()) < 0.2


def test_curves_turn_dark_to_bright_in_a_few_steps():
    torch.manual_seed(0)
    x = image()
    assert learn(ToneCurves(), x, 3 - x) < 0.2  # of the best constant 0.75


def test_voxels_of_one_intensity_and_one_neighbourhood_stay_alike():
    torch.manual_seed(0)
    network = ToneCurves()
    x = torch.full((1, 1, 40, 40, 40), 0.7)
    made = network(x)[..., 17:-17, 17:-17, 17:-17].detach()
    assert float(made.max() - made.min()) < 1e-5


def test_what_is_told_changes_the_image():
    torch.manual_seed(0)
    network, x = ToneCurves(2), image()
    told = [network(torch.cat([x, torch.full_like(x, value)], dim=1)) for value in (0.0, 1.0)]
    assert float((told[0] - told[1]).abs().mean().detach()) > 1e-4


def test_residual_curves_begin_as_the_identity_of_negative_values_too():
    x = image() - 1
    assert torch.equal(Residual(ToneCurves())(x), x)


def test_compressed_intensities_keep_their_order_below_one():
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 4.0, 1e6])
    found = compressed(x)
    assert found.tolist()[:4] == [0, 0, pytest.approx(1 / 3), 0.5]
    assert (found.diff()[1:] > 0).all()
    assert found.max() <= 1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_slope_is_that_of_a_ramp(dimensions):
    axes = torch.meshgrid(*(torch.arange(float(n)) for n in SIZE[dimensions]), indexing="ij")
    ramp = (0.3 * axes[0] + 0.4 * axes[1])[None, None]
    inner = (..., *(slice(0, -1) for _ in range(dimensions)))
    torch.testing.assert_close(
        slope(ramp)[inner], torch.full_like(ramp[inner], 0.5), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("dimensions", [2, 3])
def test_histograms_give_each_contrast_its_score_and_ignore_the_outside(dimensions):
    torch.manual_seed(0)
    critic = HistogramDiscriminator(1, 3, base=8, window=2, dimensions=dimensions).eval()
    x = image(dimensions)
    scores, logits = critic(x)
    assert scores.shape == (2, 3, *(n // 2 for n in SIZE[dimensions]))
    assert logits.shape == (2, 3)
    # far from the border between inside and outside nothing is seen but the layers' biases
    outside, dark = torch.zeros_like(x), torch.full_like(x, 0.01)
    assert not torch.allclose(critic(outside)[0], critic(dark)[0], atol=1e-3)


@pytest.mark.parametrize("change", ["contrast", "blur"])
def test_histograms_tell_wrong_contrast_and_blur_from_real_in_a_few_steps(change):
    torch.manual_seed(0)
    critic = HistogramDiscriminator(1, 1, base=16)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3, (0.5, 0.999))
    for seed in range(60):
        real = 1 + (image(seed=seed, count=4) > 1.5).float()
        fake = 3 - 0.8 * real if change == "contrast" else F.avg_pool3d(real, 3, 1, 1)
        loss = (critic(real)[0] - 1).square().mean() + critic(fake)[0].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.25  # of one that guesses 0.5


def star_batch(contrast, wanted):
    x = image()
    labels = {"contrast": torch.tensor(contrast), "wanted": torch.tensor(wanted)}
    return {"input": x, "mask": torch.ones_like(x), **labels}


def test_the_way_back_counts_from_its_start():
    critic = HistogramDiscriminator(1, 3, base=4)
    options = {"objective": "least-squares", "critic_steps": 1, "cycle_start": 5}
    method = StarGAN(ToneCurves(4), critic, 3, **options)
    batch = star_batch([0, 1], [1, 2])
    assert "cycle" not in method.losses(batch, 4)["generator"]
    assert float(method.losses(batch, 5)["generator"]["cycle"].detach()) > 0


def test_a_score_is_that_of_the_contrast_in_question():
    class Critic(torch.nn.Module):
        def forward(self, x):
            scores = torch.tensor([0.0, 1.0, 2.0]).view(1, 3, 1, 1, 1).expand(len(x), -1, 4, 4, 4)
            return scores.clone().requires_grad_(), torch.zeros(len(x), 3, requires_grad=True)

    method = StarGAN(ToneCurves(4), ToneCurves(), 3, objective="least-squares", critic_steps=1)
    method.modules["discriminator"] = Critic()
    losses = method.losses(star_batch([1, 1], [0, 2]), 0)
    assert "penalty" not in losses["discriminator"]
    # real ones have 1 and should; made ones 0 and 2, mean square 2
    assert float(losses["discriminator"]["judge"].detach()) == pytest.approx(0.5 * 2)
    fooled = float(losses["generator"]["fool"].detach()) * method.cycle_weight
    assert fooled == pytest.approx(((0 - 1) ** 2 + (2 - 1) ** 2) / 2)
