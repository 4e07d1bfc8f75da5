"""Values stay in their range; thick slices average what a scanner would."""

import pytest
import torch

from bids_gan.gan.heads import RANGES, slice_profile, split_heads


@pytest.mark.parametrize("value_range", RANGES)
def test_values_stay_in_their_range(value_range):
    raw = torch.linspace(-50, 50, 200).reshape(1, 2, 100, 1, 1)
    value, log_scale = split_heads(raw, value_range)
    limits = {"fraction": (0, 1), "positive": (0, 51), "real": (-51, 51)}
    low, high = limits[value_range]
    assert value.min() >= low
    assert value.max() <= high
    assert torch.isfinite(log_scale.exp()).all()


@pytest.mark.parametrize("thickness", [1, 2, 3, 4, 5])
def test_a_slice_averages_its_thickness(thickness):
    image = torch.zeros(1, 1, 1, 1, 21)
    image[..., 10] = 1.0
    seen = slice_profile(image, torch.tensor([thickness]))[0, 0, 0, 0]
    assert seen.sum() == pytest.approx(1.0)
    # an even slice holds half of the voxel at either end
    assert seen[10] == pytest.approx(1 / thickness)
    assert (seen > 0).sum() == thickness + (thickness + 1) % 2


def test_each_sample_has_its_own_thickness():
    image = torch.rand(2, 1, 4, 4, 9)
    seen = slice_profile(image, torch.tensor([1, 3]))
    assert torch.equal(seen[0], image[0])
    assert seen[1, 0, 2, 2, 4] == pytest.approx(float(image[1, 0, 2, 2, 3:6].mean()), abs=1e-6)
