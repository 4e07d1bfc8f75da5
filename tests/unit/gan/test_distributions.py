"""Maximum mean discrepancy and MS-SSIM where the answer is known."""

import math

import pytest
import torch
from torch import Tensor

from bids_gan.gan.distributions import maximum_mean_discrepancy
from bids_gan.gan.losses.structure import dissimilarity, multi_scale_similarity


def normal(seed: int, count: int = 400, numbers: int = 2) -> Tensor:
    return torch.randn(count, numbers, generator=torch.Generator().manual_seed(seed)).double()


def test_same_sample_in_any_order_has_no_discrepancy():
    sample = normal(0, 50, 27).reshape(50, 1, 3, 3, 3)
    assert maximum_mean_discrepancy(sample, sample.flip(0)) == pytest.approx(0, abs=1e-12)
    # a point and itself, twice as often
    assert maximum_mean_discrepancy(sample, sample.repeat(2, 1, 1, 1, 1)) == pytest.approx(
        0, abs=1e-12
    )


def test_two_points_by_hand():
    a, b = torch.zeros(1, 1), torch.full((1, 1), 3.0)
    for bandwidth in (1.0, 2.0):
        expected = 2 - 2 * math.exp(-0.5 * (3 / bandwidth) ** 2)
        assert float(maximum_mean_discrepancy(a, b, bandwidth)) == pytest.approx(expected)
    # the median of one distance is that distance
    assert float(maximum_mean_discrepancy(a, b)) == pytest.approx(2 - 2 * math.exp(-0.5))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_shifted_normal_law_has_the_discrepancy_of_the_formula(shift):
    """Of N(0, I) and N(m, I): 2 c^d (1 - exp(-|m|² / 2 (σ² + 2))) with c = σ / √(σ² + 2)."""
    bandwidth, d = 1.5, 2
    a, b = normal(1), normal(2)
    b[:, 0] += shift
    width = bandwidth**2 + 2
    expected = 2 * (bandwidth / math.sqrt(width)) ** d * (1 - math.exp(-(shift**2) / (2 * width)))
    # an image with itself counts: its share of the pairs, times what it is above the mean
    bias = 2 / len(a) * (1 - (bandwidth / math.sqrt(width)) ** d)
    found = float(maximum_mean_discrepancy(a, b, bandwidth))
    assert found == pytest.approx(expected + bias, abs=0.02)


def test_discrepancy_grows_with_shift_and_sees_a_lost_spread():
    a = normal(3)
    shifted = [float(maximum_mean_discrepancy(a, normal(4) + s, 1.0)) for s in (0, 0.5, 1, 2)]
    assert shifted == sorted(shifted)
    assert shifted[1] > 3 * shifted[0]
    collapsed = float(maximum_mean_discrepancy(a, torch.zeros_like(a), 1.0))
    assert collapsed > 10 * shifted[0]


def picture(*shape: int, seed: int = 0) -> Tensor:
    coarse = torch.rand(
        2, 1, *(max(n // 4, 1) for n in shape), generator=torch.Generator().manual_seed(seed)
    )
    return torch.nn.functional.interpolate(coarse, size=shape)


@pytest.mark.parametrize("shape", [(4, 4, 4), (24, 22, 30), (64, 96), (190, 180)])
def test_similarity_of_identical_images_is_one(shape):
    x = picture(*shape)
    torch.testing.assert_close(multi_scale_similarity(x, x), torch.ones(2))


def test_similarity_falls_with_noise_is_symmetric_and_has_no_unit():
    x, noise = (
        picture(48, 48),
        torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(9)),
    )
    values = torch.stack([multi_scale_similarity(x, x + s * noise) for s in (0, 0.1, 0.3, 1.0)])
    assert (values.diff(dim=0) < 0).all()
    other = picture(48, 48, seed=5)
    one = multi_scale_similarity(x, other)
    torch.testing.assert_close(one, multi_scale_similarity(other, x))
    torch.testing.assert_close(one, multi_scale_similarity(7 * x, 7 * other, data_range=7))
    assert ((one >= 0) & (one < 0.6)).all()


def test_similarity_at_one_resolution_is_that_of_a_single_scale():
    x, y = picture(16, 16, 16)[:1], picture(16, 16, 16, seed=1)[:1]
    single = 1 - dissimilarity(x, y, torch.ones_like(x))
    torch.testing.assert_close(multi_scale_similarity(x, y), single.clamp_min(0).reshape(1))


@pytest.mark.parametrize(("edge", "powers"), [(64, (0.0448, 0.2856, 0.3001)), (21, (0.0448,))])
def test_constant_images_differ_in_luminance_at_the_coarsest_resolution(edge, powers):
    a, b = (torch.full((1, 1, edge, edge), value) for value in (0.2, 0.9))
    luminance = (2 * 0.2 * 0.9 + 1e-4) / (0.2**2 + 0.9**2 + 1e-4)
    expected = luminance ** (powers[-1] / sum(powers))
    assert float(multi_scale_similarity(a, b)) == pytest.approx(expected, rel=1e-4)


def test_coarse_difference_is_seen_where_a_single_scale_sees_little():
    """A slow wave hardly changes the contrast of a window of 11 voxels."""
    x = picture(96, 96)
    wave = 0.3 * torch.sin(torch.arange(96) / 96 * 2 * math.pi).expand(2, 1, 96, 96)
    single = 1 - dissimilarity(x, x + wave, torch.ones_like(x))
    fine = 0.1 * torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(2))
    noisy = 1 - dissimilarity(x, x + fine, torch.ones_like(x))
    drop = (1 - multi_scale_similarity(x, x + wave).mean()) / (1 - single)
    noise_drop = (1 - multi_scale_similarity(x, x + fine).mean()) / (1 - noisy)
    assert drop > noise_drop
