"""What holds for every loss that compares two images: 2D and 3D, masks, precision, gradients."""

import pytest
import torch
from loss_cases import CASES, degraded, picture, some_mask

NAMES = [case.name for case in CASES]
each_loss = pytest.mark.parametrize("case", CASES, ids=NAMES)
each_dimension = pytest.mark.parametrize("dimensions", [2, 3])


@each_dimension
@each_loss
def test_zero_at_identity_and_above_elsewhere(case, dimensions):
    loss, x = case.make(dimensions, torch.double), picture(dimensions)
    mask = some_mask(x)
    assert abs(loss(x, x.clone(), mask)) < 1e-12
    assert loss(x + 0.1 * picture(dimensions, seed=7), x, mask) > 1e-6


@each_dimension
@each_loss
def test_gradient_agrees_with_finite_differences(case, dimensions):
    y = torch.rand(2, 1, *(6,) * dimensions, generator=torch.Generator().manual_seed(0)).double()
    x = (y.flip(-1) + 0.3 * y.square()).requires_grad_()
    loss, mask = case.make(dimensions, torch.double), some_mask(y)
    assert torch.autograd.gradcheck(lambda image: loss(image, y, mask), x, fast_mode=True)
    (slope,) = torch.autograd.grad(loss(x, y, mask), x)
    assert slope.abs().max() > 1e-6


@each_dimension
@each_loss
def test_values_outside_the_mask_do_not_matter(case, dimensions):
    loss, y = case.make(dimensions, torch.double), picture(dimensions)
    x, mask = picture(dimensions, seed=7), some_mask(y)
    outside = torch.where(mask > 0, 0.0, torch.nan)
    dirty = (x + outside).requires_grad_()
    value = loss(dirty, y - outside, mask)
    torch.testing.assert_close(value, loss(x, y, mask), rtol=1e-9, atol=0)
    (slope,) = torch.autograd.grad(value, dirty)
    assert slope.isfinite().all()
    assert (slope[mask == 0] == 0).all()


@each_loss
def test_empty_mask_gives_zero(case):
    loss, x = case.make(3, torch.double), picture(3, 8).requires_grad_()
    value = loss(x, picture(3, 8, seed=7), torch.zeros_like(x))
    assert value == 0
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value, x)
        assert (slope == 0).all()


@each_loss
def test_autocast_changes_nothing(case):
    loss, x = case.make(3, torch.float32), picture(3, dtype=torch.float32)
    y, mask = degraded(x, "blur", 1.0), some_mask(x)
    plain = loss(y, x, mask)
    rounded = loss(y.bfloat16().float(), x, mask)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(y, x, mask), plain)
        assert torch.equal(loss(y.bfloat16(), x, mask), rounded)
    assert plain.dtype == torch.float32


@pytest.mark.parametrize(
    ("case", "how"),
    [(case, how) for case in CASES for how in case.grows_with],
    ids=[f"{case.name} {how}" for case in CASES for how in case.grows_with],
)
def test_grows_with_degradation(case, how):
    loss, x = case.make(3, torch.double), picture(3)
    mask = some_mask(x)
    values = [float(loss(degraded(x, how, s), x, mask)) for s in (1.0, 2.0, 3.0)]
    assert 0 < values[0] < values[1] < values[2]
