"""Simulated runs to train on: the truth undoes what was recorded, and a step decides all of it."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_gan.simulate.blip import BlipRuns
from bids_gan.simulate.susceptibility import dipole_field, shimmed
from bids_gan.simulate.variety import PEOPLE, TRAINING

SPACING = 6.0


def agreement(run, mm):
    """Correlation in the brain of the recorded b=0 image, moved by a displacement, and guide."""
    where = np.indices(mm.shape).astype(float)
    where[0] += mm / SPACING
    moved = ndimage.map_coordinates(run.recorded["b0"] * run.recorded["b0_mask"], where, order=1)
    return np.corrcoef(moved[run.brain], run.guides["t2"][run.brain])[0, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_true_displacement_undoes_the_distortion(person, axis):
    gains = []
    for seed in range(8):
        rng = np.random.default_rng([seed, axis])
        run = BlipRuns([person], 1).run(axis, rng, SPACING, (6.0, 8.0))
        assert abs(run.directions[axis, 0]) == SPACING
        right, none, wrong = (agreement(run, sign * run.mm) for sign in (1, 0, -1))
        gains.append((right - none, none - wrong))
    assert min(np.mean(gains, axis=0)) > 0.01


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_true_misalignment_puts_the_guides_in_place(person, axis, monkeypatch):
    monkeypatch.setattr("bids_gan.simulate.blip.MOVE", (2.0, 3.0))
    for seed in range(4):
        rng = np.random.default_rng([seed, axis])
        run = BlipRuns([person], 1).run(axis, rng, SPACING, (0.0, 0.0))
        still = run.mm * 0  # what is recorded lies in place, nearly
        shown = [run.guides["t2"]]
        for sign in (1, -1):
            where = np.indices(still.shape) + sign * run.misalignment / SPACING
            shown.append(ndimage.map_coordinates(run.guides["t2"], where, order=1))
        recorded = run.recorded["b0"][run.brain]
        none, right, wrong = (np.corrcoef(recorded, one[run.brain])[0, 1] for one in shown)
        assert right > none > wrong


def test_fields_of_other_people_are_exchanged_in_training_alone(person):
    flat = person.clone()
    flat[3] = 0  # nobody's air: what is left is what shims and frequency leave
    strong = (12.0, 15.0)

    def spread(people, exchange):
        source = BlipRuns(people, 1, variety=PEOPLE._replace(exchanged=exchange))
        runs = (source.run(1, np.random.default_rng(n), SPACING, strong) for n in range(6))
        return np.median([np.percentile(np.abs(run.mm[run.brain]), 99.9) for run in runs])

    assert spread([flat], 1.0) < 4
    assert spread([person], 1.0) > 8
    assert spread([person], 0.0) > 8


def test_training_sees_more_than_people(person):
    def drawn(variety, seed):
        return BlipRuns([person], 1, variety=variety).run(1, np.random.default_rng(seed), SPACING)

    def spread(variety):
        shapes = [drawn(variety, seed).brain.any(axis=2).sum() for seed in range(8)]
        return np.std(shapes) / np.mean(shapes)

    assert spread(TRAINING) > 1.3 * spread(PEOPLE)
    # fields of any kind are strong far from the only hot spot that this person has
    everywhere = PEOPLE._replace(any_field=1.0)
    far = [
        [np.abs(drawn(v, s).mm[:, :, -12:]).mean() for s in range(8)] for v in (PEOPLE, everywhere)
    ]
    assert np.mean(far[1]) > 1.5 * np.mean(far[0])
    # the contrast curve alone leaves everything else as it is
    plain, curved = (drawn(PEOPLE._replace(gamma=gamma), 3).recorded["b0"] for gamma in (0.0, 0.2))
    assert plain.shape == curved.shape
    assert not np.allclose(plain, curved)


def test_scene_and_example_show_the_same_run(person):
    run = BlipRuns([person], 1).run(1, np.random.default_rng(1), SPACING)
    measured, guides = run.scene()
    example = run.example()
    assert measured.pe_direction == "i"
    assert np.allclose(measured.affine[:3, :3], run.directions)
    assert np.array_equal(example["input"][1] > 0, measured.b0 > 0)
    assert np.array_equal(example["input"][5] > 0, guides.mask)
    assert np.array_equal(example["target"][0], run.mm)


def test_run_tells_what_a_perfect_generator_would_give_and_its_noise(person):
    quiet, noisy = (
        BlipRuns([person], 1).run(1, np.random.default_rng(3), SPACING, (0.0, 0.0), (n, n))
        for n in (0.01, 0.1)
    )
    assert (quiet.snr, noisy.snr) == (pytest.approx(100), pytest.approx(10))
    mask = quiet.recorded["b0_mask"]
    added = (noisy.recorded["b0"] - quiet.recorded["b0"])[mask]
    assert added.std() == pytest.approx(0.09 * quiet.recorded["b0"][mask].mean(), rel=0.1)
    inside = quiet.guides["brain"]
    # the phantom's T2-like image is one minus its FA, in the place that the T1w has
    texture = 1 - quiet.fa[inside]
    assert np.corrcoef(quiet.guides["t2"][inside], texture)[0, 1] > 0.8
    recorded = np.corrcoef(quiet.recorded["fa"][inside], quiet.fa[inside])[0, 1]
    assert recorded < np.corrcoef(quiet.guides["synth_fa"][inside], quiet.fa[inside])[0, 1]


def test_opposite_polarity_moves_the_signal_the_other_way(person):
    draw = {"axis": 1, "spacing": SPACING, "peak_mm": (6.0, 8.0)}
    source = BlipRuns([person], 1)
    alone = source.run(rng=np.random.default_rng(5), **draw)
    run = source.run(rng=np.random.default_rng(5), opposite=True, **draw)
    assert alone.opposite is None
    assert all(np.array_equal(run.recorded[k], alone.recorded[k]) for k in run.recorded)
    pair = []
    for recorded, mm in ((run.recorded, run.mm), (run.opposite, -run.mm)):
        where = np.indices(mm.shape).astype(float)
        where[0] += mm / SPACING
        moved = ndimage.map_coordinates(recorded["b0"], where, order=1)
        pair.append(((1 + np.gradient(mm / SPACING, axis=0)) * moved)[run.brain])
    raw = [recorded["b0"][run.brain] for recorded in (run.recorded, run.opposite)]
    noise = 1.5 * run.recorded["b0"][run.brain].mean() / run.snr
    assert np.abs(pair[0] - pair[1]).mean() < 0.7 * np.abs(raw[0] - raw[1]).mean()
    assert np.abs(pair[0] - pair[1]).mean() > 0.3 * noise  # each has a noise of its own


def test_step_alone_decides(person, monkeypatch):
    monkeypatch.setattr("bids_gan.simulate.view._EXTENT", (48.0, 64.0, 48.0))
    first, again = (BlipRuns([person], 2, seed=4).batch(7) for _ in range(2))
    other = BlipRuns([person], 2, seed=4).batch(8)
    assert first["input"].shape[:2] == (2, 9)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert first["target"].shape != other["target"].shape or not torch.equal(
        first["target"], other["target"]
    )


def test_field_of_view_cuts_the_brain_that_counts(person):
    whole, cut = 0, 0
    for seed in range(12):
        run = BlipRuns([person], 1).run(1, np.random.default_rng(seed), SPACING)
        levels = np.flatnonzero(run.brain.any(axis=(0, 1)))
        seen = np.flatnonzero(run.recorded["b0_mask"].any(axis=(0, 1)))
        assert levels[0] >= seen[0] - 2
        assert levels[-1] <= seen[-1] + 2
        cut += len(levels) < 0.9 * 144 / SPACING
        whole += len(levels) > 0.9 * 144 / SPACING
    assert cut
    assert whole


def test_field_of_a_sphere():
    """Known exactly: (Δχ/3) (a/r)³ (3 cos²θ - 1) outside, nothing inside."""
    shape, radius = (64, 64, 64), 8.0
    index = np.indices(shape) - 32
    r = np.sqrt((index**2).sum(0))
    chi = np.where(r < radius, 9.0, 0.0)
    field = dipole_field(chi, 2.0, tesla=3.0) / (42.577478518 * 3.0)
    volume = (r < radius).sum()
    cube = 3 * volume / (4 * np.pi)  # radius³ of the sphere of these voxels
    for place in (14, 18):
        expected = 3.0 * cube / place**3
        assert field[32, 32, 32 + place] == pytest.approx(2 * expected, rel=0.06, abs=0.02)
        assert field[32 + place, 32, 32] == pytest.approx(-expected, rel=0.1, abs=0.02)
    assert abs(field[r < 5]).max() < 0.15


def test_shim_takes_away_what_coils_can_make():
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 16)] * 3, indexing="ij")
    brain = x**2 + y**2 + z**2 < 0.9
    linear, curved = 3 + 5 * x - 2 * z, x * y + z**2
    assert np.abs(shimmed(linear, brain)[brain]).max() < 1e-4
    assert np.abs(shimmed(curved, brain)[brain]).max() > 0.1
    assert np.abs(shimmed(linear + curved, brain, order=2)[brain]).max() < 1e-4
