import numpy as np
import pytest

from bids_gan.simulate.person import Person, simulate_person

SPACING = 2.0


@pytest.fixture(scope="module")
def person() -> Person:
    return simulate_person(seed=3, spacing=SPACING)


def test_tissue_contrast_is_that_of_a_brain(person):
    white = person.white > 0.9
    deep_fluid = person.mask & (person.md > 2.5e-3)
    grey = person.mask & (person.white < 0.05) & (person.md < 1.0e-3)
    assert 1200e3 < person.mask.sum() * SPACING**3 < 2100e3  # mm³
    assert person.t1w[white].mean() > person.t1w[grey].mean() > person.t1w[deep_fluid].mean()
    assert person.s0[white].mean() < person.s0[grey].mean() < person.s0[deep_fluid].mean()
    assert person.fa[white].mean() > 2 * person.fa[grey].mean()
    assert person.fa[grey].mean() > person.fa[deep_fluid].mean()


def test_values_stay_in_their_ranges(person):
    assert person.fa.min() >= 0
    assert person.fa.max() < 0.95
    for image in (person.t1w, person.fa, person.s0, person.md):
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert not image[~person.mask].any()
        assert (image[person.mask] > 0).mean() > 0.99


def test_the_head_does_not_touch_the_edge_of_the_grid(person):
    for axis in range(3):
        other = tuple(n for n in range(3) if n != axis)
        profile = person.mask.any(axis=other)
        assert not profile[:4].any()
        assert not profile[-4:].any()


def test_callosum_runs_across_and_is_bright(person):
    """In the midsagittal plane the brightest white matter is callosum: fibres along x."""
    head = np.argwhere(person.mask)
    middle = round(head[:, 0].mean())
    plane = person.fa[middle] > 0.6
    assert plane.sum() * SPACING**2 > 150  # mm²
    across = np.abs(person.direction[middle][plane][:, 0])
    assert np.median(across) > 0.9


def test_directions_are_unit_vectors_in_white_matter(person):
    length = np.linalg.norm(person.direction, axis=-1)
    np.testing.assert_allclose(length[person.white > 0.3], 1, atol=1e-5)
    assert not length[person.white == 0].any()


def test_seed_decides_the_person(person):
    again, other = (
        simulate_person(seed=3, spacing=SPACING),
        simulate_person(seed=4, spacing=SPACING),
    )
    for name in ("affine", "t1w", "fa", "s0", "direction"):
        np.testing.assert_array_equal(getattr(again, name), getattr(person, name))
    assert other.t1w.shape != person.t1w.shape or not np.array_equal(other.fa, person.fa)
