"""Losses: minimum, gradient, masks."""

import numpy as np
import pytest
import torch

from bids_gan.gan.losses.adversarial import discriminator_loss, generator_loss
from bids_gan.gan.losses.image import agreement, laplace_nll, masked_l1
from bids_gan.gan.losses.segmentation import dice_cross_entropy, dice_scores


def test_masked_l1_is_zero_at_identity_and_ignores_the_outside():
    target = torch.rand(1, 1, 6, 6, 6)
    mask = torch.zeros_like(target)
    mask[..., :3] = 1
    wrong_outside = target + (1 - mask)
    assert masked_l1(wrong_outside, target, mask) == 0
    assert masked_l1(target + 0.25, target, mask) == pytest.approx(0.25)


def test_empty_mask_gives_zero_not_nan():
    zero = torch.zeros(1, 1, 4, 4, 4)
    assert masked_l1(zero + 1, zero, zero) == 0


def test_laplace_scale_has_its_minimum_at_the_error():
    error = torch.full((1, 1, 2, 2, 2), 0.2)
    mask = torch.ones_like(error)
    scales = torch.linspace(-4, 1, 101)
    values = torch.stack([laplace_nll(error, s.expand_as(error), mask) for s in scales])
    assert scales[values.argmin()].exp().item() == pytest.approx(0.2, rel=0.05)


def test_gradients_agree_with_finite_differences():
    target = torch.rand(1, 1, 6, 6, 6, dtype=torch.double)
    mask = (torch.rand_like(target) > 0.3).double()
    image = torch.rand_like(target, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: masked_l1(x, target, mask), image)
    assert torch.autograd.gradcheck(lambda x: laplace_nll(target, x, mask), image)


def test_adversarial_losses_reward_the_right_side():
    good, bad = torch.ones(3), torch.zeros(3)
    assert discriminator_loss(real=good, fake=bad) == 0
    assert discriminator_loss(real=bad, fake=good) == 1
    assert generator_loss(good) == 0
    assert generator_loss(bad) == 1


def test_dice_cross_entropy_falls_towards_the_truth():
    labels = torch.randint(0, 3, (1, 8, 8, 8))
    onehot = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    values = [dice_cross_entropy(scale * onehot, labels) for scale in (0.0, 2.0, 20.0)]
    assert values[0] > values[1] > values[2]
    assert values[2] < 1e-2


def test_dice_scores_by_hand():
    a = torch.tensor([0, 1, 1, 1])
    b = torch.tensor([0, 0, 1, 1])
    scores = dice_scores(a, b, 3)
    assert scores[1].item() == pytest.approx(2 * 2 / 5)
    assert scores[2].isnan()


def test_validation_numbers_are_exact_under_autocast():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 1, 12, 12, 12, generator=generator)
    guess = truth + 0.1 * torch.rand(truth.shape, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        scores = agreement(guess, truth, torch.ones_like(truth))
    expected = np.corrcoef(guess.flatten(), truth.flatten())[0, 1]
    assert scores["r"] == pytest.approx(expected, abs=1e-6)
