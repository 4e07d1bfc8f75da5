"""The template is bent as its matrix and its knots say: every axis, flip and exchange."""

import pytest
import torch
import torch.nn.functional as F

from bids_gan.gan.networks.progressive import halve
from bids_gan.gan.networks.template import AFFINE, KNOT, SURE, BentTemplate

SIZE = 16


def template(dimensions=3, **given):
    torch.manual_seed(0)
    made = BentTemplate(5, 2, SIZE, dimensions, **given)
    torch.nn.init.normal_(made.weights)
    return made.eval().requires_grad_(False)


def lying(dimensions, matrix):
    """Template in 2D or 3D that is taken from where a matrix says, the first axis first."""
    made = template(dimensions)
    # grid_sample counts the axes of an image from the last one
    reversed_axes = [*range(dimensions - 1, -1, -1)]
    wanted = matrix[reversed_axes][:, [*reversed_axes, dimensions]]
    affine = ((wanted - torch.eye(dimensions, dimensions + 1)) / AFFINE).flatten()
    made.bend.forward = lambda z: torch.cat([affine, torch.zeros(made.parts[1])])[None]
    return made


def bent(made, size=SIZE):
    """The template of some vector, without a change."""
    return made(torch.randn(1, 5), torch.zeros(1, 2, *(size,) * len(made.knots)))


def assert_alike(a, b):
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_what_is_not_bent_is_the_template_and_the_change(dimensions):
    made = lying(dimensions, torch.eye(dimensions, dimensions + 1))
    change = torch.randn(1, 2, *(SIZE,) * dimensions)
    assert_alike(made(torch.randn(1, 5), change), change + SURE * made.weights)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("smaller", [1, 2])
def test_a_small_template_is_the_mean_of_the_large_one(dimensions, smaller):
    made = lying(dimensions, torch.eye(dimensions, dimensions + 1))
    expected = SURE * made.weights
    for _ in range(smaller):
        expected = halve(expected)
    assert_alike(bent(made, SIZE // 2**smaller), expected)


def test_each_vector_bends_in_its_own_way():
    made = template()
    one, other = made(torch.randn(2, 5), torch.zeros(2, 2, SIZE, SIZE, SIZE))
    assert (one - other).abs().mean() > 0.1


@pytest.mark.parametrize(("dimensions", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_a_translation_moves_along_its_axis(dimensions, axis):
    """A shift of half the half width is a quarter of the field."""
    matrix, part = torch.eye(dimensions, dimensions + 1), SIZE // 4
    matrix[axis, dimensions] = 0.5
    found, before = bent(lying(dimensions, matrix)), SURE * template(dimensions).weights
    kept = found.narrow(2 + axis, 0, SIZE - part)
    assert_alike(kept, before.narrow(2 + axis, part, SIZE - part))
    assert not torch.allclose(found, before, atol=0.1)


@pytest.mark.parametrize("axes", [(1, 0), (1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("flipped", [0, 1])
def test_axes_are_exchanged_and_flipped_as_the_matrix_says(axes, flipped):
    dimensions = len(axes)
    matrix = torch.zeros(dimensions, dimensions + 1)
    for place, axis in enumerate(axes):
        matrix[place, axis] = -1.0 if place == flipped else 1.0
    found, before = bent(lying(dimensions, matrix)), SURE * template(dimensions).weights
    # axis `place` of what is read follows axis `axes[place]` of what is written
    expected = before.flip(2 + flipped).permute(
        0, 1, *(2 + axes.index(i) for i in range(dimensions))
    )
    assert_alike(found, expected)


def test_knots_displace_smoothly_and_each_its_place():
    made, size = template(knots=3), (SIZE,) * 3
    bend = torch.zeros(sum(made.parts))
    bend[made.parts[0]] = 1.0  # first axis of grid_sample, first knot
    made.bend.forward = lambda z: bend[None]
    here = made.places(torch.randn(1, 5), size) - F.affine_grid(
        torch.eye(3, 4)[None], [1, 1, *size], align_corners=False
    )
    moved = here[0, ..., 0]
    assert float(moved[0, 0, 0]) == pytest.approx(KNOT, abs=1e-3)
    assert float(moved.max()) <= KNOT + 1e-3
    assert moved[SIZE // 2 + 1 :].abs().max() < 1e-6
    assert here[..., 1:].abs().max() < 1e-6
