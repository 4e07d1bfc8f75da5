"""What goes wrong before a field is estimated: the truth that a spoilt run keeps is still true."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bids_gan.simulate import failures
from bids_gan.simulate.blip import BlipRuns

SPACING = 6.0


@pytest.fixture
def run(person, monkeypatch):
    """Runs of the ball by phase-encoding axis and seed, guides nearly in place."""
    monkeypatch.setattr("bids_gan.simulate.blip.MOVE", (0.1, 0.2))

    def drawn(axis, seed, peak_mm=(9.0, 10.0)):
        return BlipRuns([person], 1).run(axis, np.random.default_rng(seed), SPACING, peak_mm)

    return drawn


def agreement(run, sign=1):
    """Correlation of what is recorded of each place and what the guides show of it."""
    where = np.indices(run.mm.shape).astype(float)
    here = where + sign * run.misalignment / run.lengths.reshape(3, 1, 1, 1)
    where[0] += run.mm / SPACING
    recorded = ndimage.map_coordinates(run.recorded["b0"], where, order=1)
    shown = ndimage.map_coordinates(run.guides["t2"], here, order=1)
    return np.corrcoef(recorded[run.brain], shown[run.brain])[0, 1]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("how", [failures.bend, failures.throw])
def test_misalignment_of_warped_guides_puts_them_in_place(run, how, axis):
    for seed in range(3):
        whole = run(axis, seed)
        spoilt = failures.warped(whole, how(whole, np.random.default_rng(seed)))
        right, none, wrong = (agreement(spoilt, sign) for sign in (1, 0, -1))
        assert right > none > wrong
        assert right > agreement(whole) - 0.1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_misalignment_of_misplaced_guides_puts_them_in_place(run, axis):
    for seed in range(3):
        whole = run(axis, seed)
        rng = np.random.default_rng(seed)
        spoilt = failures.misplaced(whole, tuple(whole.guides), rng)
        right, none, wrong = (agreement(spoilt, sign) for sign in (1, 0, -1))
        assert right > agreement(whole) - 0.1
        assert right > max(none, wrong) + 0.2
    # of FA alone it is no matter of where the head lies
    alone = failures.misplaced(whole, ("synth_fa",), rng)
    assert alone.misalignment is whole.misalignment
    assert alone.guides["t2"] is whole.guides["t2"]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("wrong", [1, 2])
def test_another_phase_encoding_turns_displacement_into_misalignment(run, axis, wrong):
    rng, signs, agreements = np.random.default_rng(0), [], []
    for seed in range(4):  # both polarities are among them
        whole = run(axis, seed)
        spoilt = failures.encoded_along(whole, wrong, rng)
        # nothing tells what to expect, but how large fields are
        assert spoilt.mm.std() == pytest.approx(whole.mm.std(), rel=1e-4)
        signs.append(np.sign(spoilt.mm.mean() * whole.mm.mean()))
        # the network's order of axes: the others run to the right, front and top, in this order
        directions = spoilt.directions
        assert np.array_equal(abs(directions[:, 0]), abs(whole.directions[:, wrong]))
        others = np.argmax(directions[:, 1:], axis=0)
        assert others[0] < others[1]
        assert (directions[others, [1, 2]] == SPACING).all()
        moved = replace(spoilt, mm=0 * spoilt.mm)
        agreements.append([agreement(moved, sign) for sign in (1, 0, -1)])
    right, none, opposite = np.mean(agreements, axis=0)
    assert right > none + 0.005
    assert none > opposite + 0.01
    assert set(signs) == {-1, 1}


def test_guides_of_another_person_keep_their_place_in_the_world(run):
    whole = run(1, 0)
    runs = [run(1, seed) for seed in range(1, 9)]
    polarity = np.sign(whole.directions[:, 0].sum())
    same, turned = (
        next(r for r in runs if np.sign(r.directions[:, 0].sum()) == sign * polarity)
        for sign in (1, -1)
    )
    kept = failures.with_guides_of(whole, same).guides["t2"]
    assert np.array_equal(kept, same.guides["t2"])
    flipped = failures.with_guides_of(whole, turned).guides["t2"]
    assert np.array_equal(flipped, turned.guides["t2"][::-1])


def test_noise_leaves_little_of_both_images(run):
    whole = run(1, 0)
    spoilt = failures.noisy(whole, np.random.default_rng(0))
    inside = whole.recorded["b0_mask"]
    for name in ("b0", "fa"):
        pair = whole.recorded[name][inside], spoilt.recorded[name][inside]
        assert np.corrcoef(*pair)[0, 1] < 0.6
    assert np.array_equal(spoilt.recorded["b0_mask"], inside)
    assert spoilt.guides is whole.guides


def test_two_thirds_of_all_runs_are_left_as_they_are(run):
    whole, rng = run(1, 0), np.random.default_rng(0)
    other = run(1, 1)
    spoilt = [failures.spoilt(whole, rng, lambda: other) for _ in range(300)]
    assert 0.6 < np.mean([one is whole for one in spoilt]) < 0.76
    # nothing that is shared is changed in place
    again = run(1, 0)
    assert all(np.array_equal(again.guides[k], image) for k, image in whole.guides.items())
    assert all(np.array_equal(again.recorded[k], image) for k, image in whole.recorded.items())
