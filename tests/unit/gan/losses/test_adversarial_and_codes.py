"""Losses of scores, classes, labels and codes."""

import math

import pytest
import torch
from loss_cases import degraded, encoder, picture, some_mask

from bids_gan.gan.losses.adversarial import (
    OBJECTIVES,
    discriminator_loss,
    fool,
    generator_loss,
    gradient_penalty,
    judge,
)
from bids_gan.gan.losses.classification import ClassificationLoss, class_cross_entropy
from bids_gan.gan.losses.latent import code_energy, kl_divergence
from bids_gan.gan.losses.segmentation import SegmentationLoss, dice_cross_entropy

VALUES = {  # of scores 0.5 (real) and 0.25 (fake): discriminator, generator
    "least-squares": (0.5 * (0.25 + 0.0625), 0.5625),
    "cross-entropy": (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(0.25)),
                      math.log1p(math.exp(-0.25))),
    "hinge": (0.5 + 1.25, -0.25),
    "wasserstein": (-0.25, -0.25),
}  # fmt: skip


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_adversarial_objectives_by_hand(objective):
    real, fake = torch.full((2, 1, 3, 3), 0.5), torch.full((2, 1, 3, 3, 3), 0.25)
    wanted = VALUES[objective]
    assert discriminator_loss(real, fake, objective).item() == pytest.approx(wanted[0])
    assert generator_loss(fake, objective).item() == pytest.approx(wanted[1])
    with torch.autocast("cpu", torch.bfloat16):
        value = discriminator_loss(real.bfloat16(), fake.bfloat16(), objective)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(wanted[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_players_climb_in_opposite_directions(objective):
    scores = torch.linspace(-2, 2, 5, dtype=torch.double).add(0.1).requires_grad_()
    still = torch.zeros(5).double()
    (up,) = torch.autograd.grad(generator_loss(scores, objective), scores)
    (down,) = torch.autograd.grad(discriminator_loss(still, scores, objective), scores)
    assert (up[:3] < 0).all()
    assert (down[2:] > 0).all()
    assert torch.autograd.gradcheck(lambda s: generator_loss(s, objective), scores)
    assert torch.autograd.gradcheck(lambda s: discriminator_loss(s, s * 0.3, objective), scores)


def test_unknown_objective_is_named():
    with pytest.raises(ValueError, match="'lsgan': accepted are least-squares"):
        generator_loss(torch.zeros(2), "lsgan")


def test_gradient_penalty_is_zero_for_slope_one():
    real, fake = picture(3, 4), picture(3, 4, seed=2)
    voxels = real.numel()

    class Sum(torch.nn.Module):
        def __init__(self, slope):
            super().__init__()
            self.slope = torch.nn.Parameter(torch.tensor(slope).double())

        def forward(self, x):
            return self.slope * x.flatten(1).sum(1) / voxels**0.5

    assert gradient_penalty(Sum(1.0), real, fake).item() == pytest.approx(0, abs=1e-12)
    critic = Sum(3.0)
    penalty = gradient_penalty(critic, real, fake)
    assert penalty.item() == pytest.approx(4.0)
    penalty.backward()
    assert critic.slope.grad.item() == pytest.approx(4.0)


def test_each_player_learns_from_its_own_loss_only():
    critic = torch.nn.Conv2d(1, 1, 3)
    fake = picture(2, 8, dtype=torch.float32).requires_grad_()
    fool(critic, fake, "hinge").backward()
    assert fake.grad is not None
    assert critic.weight.grad is None
    assert critic.weight.requires_grad
    fake.grad = None
    judge(critic, fake.detach(), fake, "hinge").backward()
    assert fake.grad is None
    assert critic.weight.grad is not None


@pytest.mark.parametrize("dimensions", [2, 3])
def test_label_loss_inside_a_mask(dimensions):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (1, *(16,) * dimensions), generator=generator)
    labels[..., :8] = 0
    logits = 20.0 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).double()
    mask = torch.zeros_like(logits[:, :1])
    mask[..., 4:] = 1
    assert dice_cross_entropy(logits, labels, mask) < 1e-6
    wrong = torch.where(mask > 0, logits, torch.nan)
    torch.testing.assert_close(
        dice_cross_entropy(wrong, labels, mask), dice_cross_entropy(logits, labels, mask)
    )
    assert dice_cross_entropy(logits.roll(3, -1), labels, mask) > 0.5
    assert dice_cross_entropy(logits, labels, 0 * mask) == 0
    soft = (0.1 * logits).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: dice_cross_entropy(x, labels, mask), soft, fast_mode=True
    )


@pytest.mark.parametrize("dimensions", [2, 3])
def test_segmentation_loss_follows_the_frozen_network(dimensions):
    loss = SegmentationLoss(encoder(dimensions))
    image = picture(dimensions).requires_grad_()
    mask = torch.ones_like(image)
    labels = loss.network(image.detach()).argmax(1)
    best = loss(image, labels, mask)
    assert best < loss(image, (labels + 1) % 4, mask)
    best.backward()
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.network.parameters())
    assert loss(image, labels, 0 * mask) == 0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_classification_of_images_and_patches(dimensions):
    classes = torch.tensor([1, 3])
    sure = 50.0 * torch.nn.functional.one_hot(classes, 4).double()
    patches = sure.reshape(2, 4, *(1,) * dimensions).expand(2, 4, *(3,) * dimensions)
    assert class_cross_entropy(sure, classes) < 1e-12
    assert class_cross_entropy(patches, classes) < 1e-12
    assert class_cross_entropy(0 * sure, classes).item() == pytest.approx(math.log(4))
    loss = ClassificationLoss(encoder(dimensions))
    images = torch.cat([picture(dimensions, 6), picture(dimensions, 6, 7)]).requires_grad_()
    mask = torch.ones_like(images)
    assert torch.autograd.gradcheck(lambda x: loss(x, classes, mask), images, fast_mode=True)
    assert loss(images, classes, 0 * mask) == 0
    half = mask.clone()
    half[1] = 0
    torch.testing.assert_close(
        loss(images, classes, half), loss(images[:1], classes[:1], mask[:1])
    )
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(images, classes, mask), loss(images, classes, mask))


class ByIntensity(torch.nn.Module):
    """Segmenter of three tissues, 0, 0.5 and 1."""

    def forward(self, x):
        means = torch.tensor([0.0, 0.5, 1.0], dtype=x.dtype).reshape(1, 3, *[1] * (x.dim() - 2))
        return -10 * (x - means).square()


class Recogniser(torch.nn.Module):
    """Class 1 the more surely, the better an image correlates with one that it knows."""

    def __init__(self, known):
        super().__init__()
        self.known = known.flatten(1)

    def forward(self, x):
        pair = torch.stack([x.flatten(1)[0], self.known[0]])
        return torch.stack([torch.zeros((), dtype=x.dtype), 10 * torch.corrcoef(pair)[0, 1]])[None]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_segmentation_loss_has_the_slope_of_finite_differences(dimensions):
    loss, image = SegmentationLoss(encoder(dimensions)), picture(dimensions, 8)
    labels = (3 * image[:, 0]).long().clamp(max=3)
    mask = some_mask(image)
    image.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, mask), image, fast_mode=True)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("how", ["blur", "shift", "noise"])
def test_losses_through_a_network_grow_with_degradation(how, dimensions):
    tissue = (2.999 * picture(dimensions, 24)).floor()
    image, labels = tissue / 2, tissue[:, 0].long()
    mask, known = torch.ones_like(image), torch.tensor([1])
    worse = [image, *(degraded(image, how, strength) for strength in (1.0, 2.0, 3.0))]
    for loss, truth in (
        (SegmentationLoss(ByIntensity()), labels),
        (ClassificationLoss(Recogniser(image)), known),
    ):
        values = torch.stack([loss(x, truth, mask) for x in worse])
        assert (values.diff() > 0).all()


def test_divergence_from_the_standard_normal():
    zero = torch.zeros(2, 4, 3, 3).double()
    assert kl_divergence(zero, zero) == 0
    assert kl_divergence(zero + 2, zero).item() == pytest.approx(36 * 2.0)
    assert kl_divergence(zero, zero + 1).item() == pytest.approx(36 * 0.5 * (math.e - 2))
    assert kl_divergence(zero, zero, free_bits=0.25).item() == pytest.approx(36 * 0.25)
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(2, 5, generator=generator).double()
    variance = torch.randn(2, 5, generator=generator).double()
    inputs = (mean.requires_grad_(), variance.requires_grad_())
    assert torch.autograd.gradcheck(kl_divergence, inputs)
    torch_says = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * variance).exp()),
        torch.distributions.Normal(torch.zeros(5), torch.ones(5)),
    )
    torch.testing.assert_close(kl_divergence(mean, variance), torch_says.sum(1).mean())
    assert code_energy(zero + 3) == 9
    with torch.autocast("cpu", torch.bfloat16):
        value = kl_divergence(mean.bfloat16(), variance.bfloat16())
    assert value.dtype == torch.float32
