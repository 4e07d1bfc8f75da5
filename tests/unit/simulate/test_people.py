import numpy as np
import pytest
from head_map import MIDDLE, SCALE, head_map

from bids_gan.simulate.composition import SOFT_FAT, SOFT_MUSCLE, TISSUES, label_composition
from bids_gan.simulate.head import brain_mask, fit_mni, prepare_head
from bids_gan.simulate.people import (
    new_person,
    simulate_ct,
    simulate_fa,
    simulate_mr,
    simulate_pet,
    tissue_maps,
)
from bids_gan.simulate.physics import Pulses, relaxation

T1W = Pulses("MPRAGE", 2.3, 0.003, 0.9, 9, 0.0075, 160)
T2W = Pulses("SE", 5.0, 0.1)


@pytest.fixture(scope="module")
def head():
    return prepare_head(head_map())


@pytest.fixture(scope="module")
def person(head):
    return new_person(head, np.random.default_rng(4))


def test_fit_finds_mni_space():
    to_mni = fit_mni(head_map())
    assert np.allclose(np.diag(to_mni)[:3], 1 / SCALE, rtol=0.06)
    middle = to_mni[:3, :3] @ MIDDLE + to_mni[:3, 3]
    assert np.allclose(middle, (0, -16, 8), atol=4)


def test_a_map_without_the_deep_structures_is_refused():
    labels = head_map()
    labels[np.isin(labels, (10, 16))] = 2
    with pytest.raises(ValueError, match=r"labels \[10, 16\] are missing"):
        fit_mni(labels)


def test_head_is_cleaned_and_soft_tissue_divided():
    labels = head_map()
    labels[0, 0, 0] = 511  # a speck in the air
    hole = tuple(np.add(MIDDLE, (0, 8, 4)))
    labels[hole] = 0
    clean = prepare_head(labels)
    assert clean.labels[0, 0, 0] == 0
    assert clean.labels[hole] > 0
    assert not (clean.labels == 507).any()
    assert (clean.labels == SOFT_FAT).sum() > 100
    assert (clean.labels == SOFT_MUSCLE).sum() > 100


@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_brain_ends_below_the_brain_not_at_the_end_of_the_spine(spacing):
    labels = np.zeros((15, 15, 60), np.int16)
    labels[:, :, 40:] = 3
    labels[7, 7, :40] = 24  # fluid around a spinal cord
    labels[5, 5, 50] = 514  # a vein
    reach = int(12 / spacing)
    expected = labels > 0  # the vein too
    expected[:, :, : 40 - reach] = False
    assert np.array_equal(brain_mask(labels, spacing), expected)


def test_person_depends_on_the_generator_alone(head, person):
    again = new_person(head, np.random.default_rng(4))
    assert np.array_equal(person.labels, again.labels)
    assert np.array_equal(person.affine, again.affine)
    other = new_person(head, np.random.default_rng(5))
    assert np.mean(other.labels != person.labels) > 0.05


def test_deformation_does_not_fold(head):
    for seed in range(4):
        positions = new_person(head, np.random.default_rng(seed), 2.0).positions
        slopes = np.stack(np.gradient(positions, 2.0, axis=(0, 1, 2)), axis=-1)
        # mirrored people have a negative determinant everywhere
        determinant = np.linalg.det(slopes[2:-2, 2:-2, 2:-2])
        assert np.all(np.abs(determinant) > 0.1)
        assert len(np.unique(np.sign(determinant))) == 1


def test_half_of_the_people_are_mirrored(head):
    signs = [
        np.sign(np.diff(new_person(head, np.random.default_rng(s), 4.0).positions[:, 8, 8, 0])[4])
        for s in range(20)
    ]
    assert 4 <= sum(s < 0 for s in signs) <= 16


def test_partial_volume_is_the_mean_over_the_voxel(head):
    """A table of one label gives its fraction; its integral is that label's volume."""
    table = np.zeros(1024)
    table[3] = 1.0
    volumes = []
    for spacing in (1.0, 2.0):
        person = new_person(head, np.random.default_rng(4), spacing)
        fraction = person.render(table)
        assert fraction.min() >= -1e-6
        assert fraction.max() <= 1 + 1e-6
        assert ((fraction > 0.1) & (fraction < 0.9)).mean() > 0.02
        hard = (person.labels == 3).sum() * spacing**3
        assert fraction.sum() * spacing**3 == pytest.approx(hard, rel=0.03)
        volumes.append(hard)
    ones = person.render(np.ones(1024))
    assert np.allclose(ones, 1, atol=1e-5)


def test_tissue_fractions_follow_the_labels(person):
    tissues = tissue_maps(person)
    inside = sum(tissues[name] for name in ("CSF", "GM", "WM"))
    assert inside.max() <= 1 + 1e-5
    deep = np.isin(person.labels, (2, 3, 4, 10)) & (inside > 0.999)
    assert deep.sum() > 1000
    assert tissues["WM"][person.labels == 2].mean() > 0.75
    assert tissues["bone"][person.labels == 515].mean() > 0.7
    assert tissues["WM"][~person.brain].mean() < 0.01


def test_signal_of_a_mixture_is_the_mixture_of_signals(person):
    tissue = relaxation(3.0)
    image = simulate_mr(person, T2W, tissue, np.random.default_rng(0))
    signal = T2W.signal(tissue)
    expected = np.abs(person.render(label_composition() @ signal))
    expected *= 1000 / abs(signal[TISSUES.index("white")])
    ratio = image[person.brain] / expected[person.brain]
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert np.percentile(np.abs(ratio - np.median(ratio)), 90) < 0.12


def test_contrasts_look_as_they_should(person):
    tissue, rng = relaxation(3.0), np.random.default_rng(0)
    t1w, t2w = (simulate_mr(person, p, tissue, rng) for p in (T1W, T2W))
    pure = {
        name: fraction > 0.97 for name, fraction in tissue_maps(person).items() if name != "bone"
    }
    mean = {k: (t1w[m].mean(), t2w[m].mean()) for k, m in pure.items()}
    assert mean["WM"][0] > mean["GM"][0] > mean["CSF"][0]
    assert mean["CSF"][1] > mean["GM"][1] > mean["WM"][1]
    assert mean["WM"][0] == pytest.approx(1000, rel=0.05)
    fat = person.render(np.isin(np.arange(1024), [SOFT_FAT])) > 0.9
    suppressed = simulate_mr(person, T1W, tissue, rng, fat_suppression=0.9)
    assert suppressed[fat].mean() < 0.25 * t1w[fat].mean()


def test_uptake_and_attenuation(person):
    rng = np.random.default_rng(0)
    pet = simulate_pet(person, rng, 4.0, 1e6)
    assert pet[person.labels == 2].mean() < 0.8 * pet[person.labels == 3].mean()
    ct = simulate_ct(person, rng)
    assert ct[:3].mean() == pytest.approx(-1000, abs=10)
    assert ct[person.labels == 515].mean() > 600
    assert 0 < ct[person.labels == 2].mean() < 80


def test_fa_is_high_in_bundles_and_low_in_grey_matter(person):
    tissues = tissue_maps(person)
    fa = simulate_fa(person, tissues)
    assert fa.min() >= 0
    assert fa.max() <= 1
    assert fa[tissues["WM"] > 0.9].mean() > 0.3
    assert fa[tissues["GM"] > 0.95].mean() < 0.2
    assert fa[~person.brain].mean() < 0.02
