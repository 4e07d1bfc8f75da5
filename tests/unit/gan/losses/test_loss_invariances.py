"""What each loss says that it sees, and that it does not see."""

import itertools

import numpy as np
import pytest
import torch
from loss_cases import encoder, picture, some_mask

from bids_gan.evaluate import metrics
from bids_gan.gan.losses.filters import gaussian, gaussian_kernel
from bids_gan.gan.losses.frequency import spectrum_difference
from bids_gan.gan.losses.gradient import edge_weighted, gradient_consistency, gradient_difference
from bids_gan.gan.losses.image import voxelwise
from bids_gan.gan.losses.perceptual import PerceptualLoss, SaliencyLoss, StyleContentLoss
from bids_gan.gan.losses.regularisation import regulation, self_regularisation
from bids_gan.gan.losses.scale_space import sharpness_difference, steerable_difference
from bids_gan.gan.losses.structure import dissimilarity


def pair(dimensions=3, edge=16):
    x, y = picture(dimensions, edge), picture(dimensions, edge, seed=7)
    return x, y, some_mask(x)


def checkerboard(dimensions, edge=8):
    parity = sum(torch.meshgrid(*[torch.arange(edge)] * dimensions, indexing="ij")) % 2
    return (2.0 * parity - 1).double()[None, None]


def ramp(slopes, edge=8):
    axes = torch.meshgrid(*[torch.arange(edge).double()] * len(slopes), indexing="ij")
    return sum(s * a for s, a in zip(slopes, axes, strict=True))[None, None]


def test_penalties_by_hand():
    zero, ones = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    expected = {"l1": 0.5, "l2": 0.25, "huber": 0.1 * (0.5 - 0.05), "charbonnier": 0.499}
    for penalty, value in expected.items():
        found = voxelwise(zero + 0.5, zero, ones, penalty)
        assert found.item() == pytest.approx(value, rel=1e-3)
    with pytest.raises(ValueError, match=r"l3.*accepted are l1"):
        voxelwise(zero, zero, ones, "l3")


def test_voxelwise_loss_knows_nothing_of_structure():
    x, y, mask = pair()
    order = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(0))
    mixed = [image.flatten()[order].reshape(x.shape) for image in (x, y, mask)]
    torch.testing.assert_close(voxelwise(*mixed), voxelwise(x, y, mask))


@pytest.mark.parametrize("slopes", [(0.3, -0.2), (0.3, -0.2, 0.1)])
def test_gradient_of_a_ramp_is_per_millimetre(slopes):
    image = ramp(slopes)
    flat, mask = torch.zeros_like(image), torch.ones_like(image)
    spacing = (2.0, 0.5, 1.0)[: len(slopes)]
    expected = sum(abs(s) / size for s, size in zip(slopes, spacing, strict=True))
    assert gradient_difference(image, flat, mask, spacing).item() == pytest.approx(expected)
    assert gradient_difference(image + 5, flat, mask, spacing).item() == pytest.approx(expected)


def test_gradient_sees_a_checkerboard():
    noisy = checkerboard(3)
    assert gradient_difference(noisy, 0 * noisy, torch.ones_like(noisy)) == pytest.approx(6.0)


def test_spacing_that_does_not_fit_is_refused():
    x, y, mask = pair(edge=8)
    for spacing in ((1.0, 1.0), (1.0, 0.0, 1.0)):
        with pytest.raises(ValueError, match="3 positive numbers"):
            gradient_difference(x, y, mask, spacing)


def test_gradient_consistency_minds_neither_gain_offset_sign_nor_voxel_size():
    x, y, mask = pair()
    assert gradient_consistency(3 - 2 * x, x, mask) < 1e-12
    value = gradient_consistency(y, x, mask)
    assert 0.5 < value <= 1
    torch.testing.assert_close(gradient_consistency(1 - 4 * y, 5 * x, mask), value)
    assert gradient_consistency(torch.ones_like(x), x, mask) == 1


def test_edge_weight_is_one_at_the_steepest_place_and_zero_on_the_flat():
    target = torch.zeros(1, 1, 16, 16, 16).double()
    target[..., 8:] = 1
    mask = torch.ones_like(target)
    edge, flat = torch.zeros_like(target), torch.zeros_like(target)
    edge[..., 7:9], flat[..., :2] = 1, 1
    assert edge_weighted(target + edge, target, mask).item() == pytest.approx(2 / 16, rel=1e-3)
    assert edge_weighted(target + flat, target, mask) < 1e-6
    # contrast of the target: the weights are relative
    value = edge_weighted(target + 0.1, target, mask)
    torch.testing.assert_close(edge_weighted(9 * target + 0.1, 9 * target, mask), value)
    assert edge_weighted(target + 0.1, 0 * target, 0 * mask) == 0
    assert edge_weighted(target + 0.1, target, mask, spacing=0.5) > 1.5 * value


def test_gaussian_derivatives_are_exact_for_parabolas_in_millimetres():
    size = 0.8
    x = size * (torch.arange(41).double() - 20)
    image = (0.5 * x**2 + 3 * x + 2)[None, None, None].expand(1, 1, 41, 41)
    middle = (0, 0, 20, 20)
    assert gaussian(image, 1.5, size, (0, 1))[middle].item() == pytest.approx(3)
    assert gaussian(image, 1.5, size, (0, 2))[middle].item() == pytest.approx(1)
    assert gaussian(image, 1.5, size, (2, 0))[middle].item() == pytest.approx(0, abs=1e-9)
    assert gaussian(image, 1e-3, size, (0, 2))[middle].item() == pytest.approx(1)
    assert gaussian_kernel(0.0).tolist() == [1.0]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_sharpness_is_blind_to_constant_and_sign_and_minds_blur_more_than_a_shift(dimensions):
    x, _, mask = pair(dimensions)
    everywhere = torch.ones_like(x)
    assert sharpness_difference(x + 0.4, x, everywhere) < 1e-12
    assert sharpness_difference(1 - x, x, everywhere) < 1e-12
    blurred = gaussian(x, 1.0, 1.0, (0,) * dimensions)
    shifted = x.roll(1, -1)
    by_sharpness, by_voxels = (
        loss(blurred, x, mask) / loss(shifted, x, mask)
        for loss in (sharpness_difference, voxelwise)
    )
    assert by_sharpness > 2 * by_voxels


def test_steerable_filters_are_blind_to_constant_and_slope():
    at_the_border = []
    for edge in (20, 80):
        x, _, _ = pair(2, edge)
        whole = torch.ones_like(x)
        assert steerable_difference(x + 0.7, x, whole) < 1e-12
        slope = ramp((0.02, -0.03), edge)
        at_the_border.append(steerable_difference(x + slope, x, whole))
    # the share of the border falls as the edge grows, and nothing else is seen
    torch.testing.assert_close(at_the_border[1], at_the_border[0] / 4, rtol=0.1, atol=0)


def test_steerable_loss_does_not_depend_on_which_axis_is_which():
    x, y, mask = pair()
    values = [
        steerable_difference(*(t.permute(0, 1, *(2 + a for a in order)) for t in (x, y, mask)))
        for order in itertools.permutations(range(3))
    ]
    torch.testing.assert_close(torch.stack(values), values[0].expand(6))


@pytest.mark.parametrize("loss", [steerable_difference, sharpness_difference])
def test_scales_are_in_millimetres(loss):
    """The same blob on a coarse and on a fine grid gives the same value; as voxels it does not."""
    values = {}
    for size, edge in ((1.0, 24), (0.5, 48)):
        place = size * (torch.arange(edge) - (edge - 1) / 2).double()
        blob = torch.exp(-0.5 * (place / 2.0) ** 2)
        image = (blob[:, None] * blob)[None, None]
        zero, mask = torch.zeros_like(image), torch.ones_like(image)
        values[size] = loss(image, zero, mask, spacing=size)
        ignorant = loss(image, zero, mask)
    torch.testing.assert_close(values[0.5], values[1.0], rtol=0.05, atol=0)
    assert abs(ignorant / values[1.0] - 1) > 0.2


@pytest.mark.parametrize("masked", [True, False])
def test_structure_is_the_similarity_that_evaluation_reports(masked):
    x, y, mask = pair()
    mask = mask if masked else torch.ones_like(mask)
    expected = 1 - metrics.ssim(x[0, 0].numpy(), y[0, 0].numpy(), mask[0, 0].numpy() > 0, 1.0)
    assert dissimilarity(x, y, mask).item() == pytest.approx(expected, abs=1e-9)
    swapped = dissimilarity(y, x, mask)
    assert swapped.item() == pytest.approx(expected, abs=1e-9)
    scaled = dissimilarity(7 * x, 7 * y, mask, data_range=7.0)
    assert scaled.item() == pytest.approx(expected, abs=1e-9)


def test_window_of_the_structure_is_in_millimetres():
    x, y, mask = pair()
    assert dissimilarity(x, y, mask, spacing=0.5) != dissimilarity(x, y, mask)
    fine = dissimilarity(x, y, mask, sigma_mm=0.75, spacing=0.5)
    torch.testing.assert_close(fine, dissimilarity(x, y, mask))


def test_structure_in_single_precision_at_a_large_offset():
    x, y, mask = pair()
    expected = dissimilarity(x + 50, y + 50, mask)
    found = dissimilarity((x + 50).float(), (y + 50).float(), mask.float())
    assert found.item() == pytest.approx(expected.item(), rel=1e-2)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_spectrum_is_blind_to_phase_but_sees_a_checkerboard(dimensions):
    x = picture(dimensions)
    mask = torch.ones_like(x)
    assert spectrum_difference(-x, x, mask) < 1e-12
    assert spectrum_difference(x.flip(*range(2, x.dim())), x, mask) < 1e-12
    pattern = 0.1 * checkerboard(dimensions, 16)
    shifted = spectrum_difference(x.roll(1, -1), x, mask)
    assert spectrum_difference(x + pattern, x, mask) > 0.2 * shifted > 0


def test_regulation_sees_means_of_slices_only():
    x, y, mask = pair(edge=8)
    whole = torch.ones_like(x)
    assert regulation(x + checkerboard(3), x, whole) < 1e-12
    assert regulation(x + 0.2, x, mask).item() == pytest.approx(3 * 0.2)
    tilted = x + ramp((0.0, 0.0, 0.1)) - 0.35
    assert regulation(tilted, x, whole).item() == pytest.approx(0.2)
    assert regulation(y, x, mask) < 3 * voxelwise(y, x, mask)


def test_self_regularisation_after_a_blur_lets_detail_change():
    x = picture(3)
    mask = torch.ones_like(x)
    noisy = x + 0.1 * checkerboard(3, 16)
    assert self_regularisation(noisy, x, mask).item() == pytest.approx(0.1)
    assert self_regularisation(noisy, x, mask, sigma_mm=2.0) < 0.01
    assert self_regularisation(noisy, x, mask, 0.5, spacing=2.0) > 0.05
    assert self_regularisation(x + 0.1, x, mask, sigma_mm=2.0).item() == pytest.approx(0.1)


def test_style_is_where_features_occur_together_not_where():
    network = encoder(2)
    x, y, mask = pair(2)
    content, both = PerceptualLoss(network, 2), StyleContentLoss(network, 2, style=0.5)
    assert both(x, y, mask) > content(x, y, mask)
    style = StyleContentLoss(network, 2, style=1.0)
    whole = torch.ones_like(x)
    moved = torch.zeros(1, 1, 28, 28).double()
    still = moved.clone()
    moved[..., 4:20, 4:20], still[..., 8:24, 8:24] = x, x
    canvas = torch.ones_like(moved)
    alone = style(moved, still, canvas) - content(moved, still, canvas)
    assert alone < 1e-10 < content(moved, still, canvas)
    assert style(y, x, whole) - content(y, x, whole) > 1e-6


def test_saliency_minds_where_not_how_strongly():
    class Linear(torch.nn.Module):
        def encode(self, x):
            return [torch.cat([x, x.diff(dim=-1, append=x[..., :1])], 1)]

    loss = SaliencyLoss(Linear(), 1)
    x, y, mask = pair(2)
    assert loss(3 * x, x, mask) < 1e-12
    assert loss(y, x, mask) > 0.05


def test_frozen_networks_stay_as_they_are():
    for kind in (PerceptualLoss, StyleContentLoss, SaliencyLoss):
        network = encoder(3, torch.float32).train()
        loss = kind(network, 2)
        x = picture(3, 8, dtype=torch.float32).requires_grad_()
        loss(x, picture(3, 8, 7, torch.float32), torch.ones_like(x)).backward()
        assert x.grad.abs().sum() > 0
        assert not network.training
        assert all(p.grad is None for p in network.parameters())
    assert np.isfinite(x.grad.numpy()).all()
