import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from bids_gan.simulate.composition import (
    LABEL_NAMES,
    OUTSIDE_LABELS,
    TISSUES,
    label_composition,
)
from bids_gan.simulate.labels import BRAIN_LABELS
from bids_gan.simulate.physics import (
    KINDS,
    Pulses,
    inversion_recovery_spin_echo,
    jitter_relaxation,
    label_contrast,
    mprage,
    null_time,
    random_pulses,
    relaxation,
    spin_echo,
    spoiled_gradient_echo,
)

T1 = np.array([0.3, 0.85, 1.4, 4.2])
T2 = np.array([0.05, 0.07, 0.1, 2.0])
PD = np.array([0.9, 0.7, 0.8, 1.0])


def settle(cycle, t1, times=4000):
    """Longitudinal magnetisation that a cycle of events leads to, by running it many times."""
    mz = np.ones_like(t1)
    for _ in range(times):
        mz = cycle(mz)
    return mz


def recover(mz, seconds):
    return 1 - (1 - mz) * np.exp(-seconds / T1)


def test_spoiled_gradient_echo_is_what_pulse_after_pulse_leads_to():
    tr, te, flip = 0.02, 0.004, 25.0
    angle = np.deg2rad(flip)
    before = settle(lambda mz: recover(mz * np.cos(angle), tr), T1)
    expected = PD * before * np.sin(angle) * np.exp(-te / T2)
    assert spoiled_gradient_echo(PD, T1, T2, tr, te, flip) == pytest.approx(expected, abs=1e-5)


def test_mprage_is_what_train_after_train_leads_to():
    tr, te, ti, flip, spacing, n, inversion = 2.3, 0.003, 0.9, 9.0, 0.0075, 161, 0.96
    angle = np.deg2rad(flip)
    read = {}

    def cycle(mz):
        mz = recover(-inversion * mz, ti - (n // 2) * spacing)
        for echo in range(n):
            if echo == n // 2:
                read["signal"] = PD * np.sin(angle) * mz * np.exp(-te / T2)
            mz = recover(mz * np.cos(angle), spacing)
        return recover(mz, tr - ti + (n // 2) * spacing - n * spacing)

    settle(cycle, T1, times=40)
    ours = mprage(PD, T1, T2, tr, te, ti, flip, spacing, n, inversion)
    assert ours == pytest.approx(read["signal"], abs=1e-5)


@pytest.mark.parametrize("ti", [None, 0.4, 2.4])
def test_spin_echoes_are_what_pulse_after_pulse_leads_to(ti):
    tr, te = 5.0, 0.1

    def cycle(mz):
        if ti is not None:
            mz = recover(-mz, ti)
        mz = recover(0 * mz, te / 2)  # excited
        mz = recover(-mz, tr - te / 2 - (ti or 0))  # refocused
        return mz

    mz = settle(cycle, T1, times=200)
    longitudinal = mz if ti is None else recover(-mz, ti)
    expected = PD * longitudinal * np.exp(-te / T2)
    if ti is None:
        ours = spin_echo(PD, T1, T2, tr, te)
    else:
        ours = inversion_recovery_spin_echo(PD, T1, T2, tr, te, ti)
    assert ours == pytest.approx(expected, abs=1e-5)


def test_values_worked_out_by_hand():
    # E1 = exp(-1), 90°, no T2 decay: pd (1 - E1)
    assert spoiled_gradient_echo(0.8, 1.0, 1.0, 1.0, 0.0, 90.0) == pytest.approx(0.50570, abs=1e-5)
    # 1 - 2 exp(-1.95) + exp(-2), times exp(-1)
    assert spin_echo(1.0, 1.0, 0.1, 2.0, 0.1) == pytest.approx(0.312991, abs=1e-5)
    # 1 - 2 exp(-0.5) + 2 exp(-2) - exp(-2), TE = 0
    assert inversion_recovery_spin_echo(1.0, 1.0, 1.0, 2.0, 0.0, 0.5) == pytest.approx(
        -0.077726, abs=1e-5
    )


def test_limits():
    long = 1e4
    assert spin_echo(PD, T1, T2, long, 0.0) == pytest.approx(PD, abs=1e-9)
    assert spoiled_gradient_echo(PD, T1, T2, long, 0.0, 90) == pytest.approx(PD, abs=1e-9)
    assert inversion_recovery_spin_echo(PD, T1, T2, long, 0.0, long / 2) == pytest.approx(PD)
    # a train of one excitation long after the inversion is a fully relaxed gradient echo
    assert mprage(PD, T1, T2, 2 * long, 0.0, long, 30.0, 0.01, 1) == pytest.approx(PD / 2)
    # without inversion, and pulses all the time, it is the spoiled gradient echo
    endless = mprage(PD, T1, T2, 200.0, 0.002, 100.0, 12.0, 0.01, 20000, inversion=0.0)
    assert endless == pytest.approx(spoiled_gradient_echo(PD, T1, T2, 0.01, 0.002, 12.0), abs=1e-6)


def test_ernst_angle_gives_most_signal():
    tr, t1 = 0.02, 0.85
    best = minimize_scalar(
        lambda flip: -float(spoiled_gradient_echo(1.0, t1, 1.0, tr, 0.0, flip)),
        bounds=(1, 80),
        method="bounded",
        options={"xatol": 1e-6},
    ).x
    assert best == pytest.approx(np.rad2deg(np.arccos(np.exp(-tr / t1))), abs=1e-3)


def test_inversion_nulls_the_fluid():
    t1, tr, te = 4.2, 9.0, 0.12
    ti = null_time(t1, tr, te)
    assert inversion_recovery_spin_echo(1.0, t1, 2.0, tr, te, ti) == pytest.approx(0, abs=1e-12)
    assert null_time(t1, 1e4, te) == pytest.approx(t1 * np.log(2))


def test_a_train_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"200 echoes of 0.01 s around TI 0.9 s do not fit"):
        mprage(PD, T1, T2, 2.0, 0.003, 0.9, 9.0, 0.01, 200)


def test_labels_are_made_of_tissue():
    table = label_composition()
    assert np.allclose(table.sum(axis=1), 1)
    assert (table >= 0).all()
    air = table[:, TISSUES.index("air")]
    assert air[0] == 1
    assert not air[[*BRAIN_LABELS, *OUTSIDE_LABELS]].any()
    assert set(LABEL_NAMES) == {0, *BRAIN_LABELS}
    assert table[2, TISSUES.index("white")] == 1


@pytest.mark.parametrize("strength", [1.5, 3.0])
def test_order_of_tissues_in_usual_sequences(strength):
    tissue = relaxation(strength)

    def signal(pulses):
        return dict(zip(TISSUES, np.abs(pulses.signal(tissue)), strict=True))

    for t1w in (
        Pulses("MPRAGE", 2.3, 0.003, 0.9, 9, 0.0075, 160),
        Pulses("SPGR", 0.025, 0.004, flip=30),
    ):
        s = signal(t1w)
        assert s["fat"] > s["white"] > s["grey"] > s["csf"] > s["cortical bone"] >= s["air"] == 0
    s = signal(Pulses("SE", 5.0, 0.1))
    assert s["csf"] > s["lesion"] > s["grey"] > s["white"] > s["pallidum"]
    fluid = tissue.t1[TISSUES.index("csf")]
    s = signal(Pulses("IR", 9.0, 0.12, null_time(fluid, 9.0, 0.12)))
    assert s["lesion"] > s["grey"] > s["white"] > s["csf"] == pytest.approx(0, abs=1e-9)


def test_unknown_field_strength_and_kind_are_named():
    with pytest.raises(ValueError, match=r"7.0 T is not one of 1.5, 3.0"):
        relaxation(7.0)
    with pytest.raises(ValueError, match="'T1' is not one of T1w, T2w"):
        random_pulses(np.random.default_rng(0), "T1")


@pytest.mark.parametrize("kind", KINDS)
def test_label_contrast_is_seeded_finite_and_relative_to_white_matter(kind):
    first = [label_contrast(np.random.default_rng(s), kind) for s in range(60)]
    again = label_contrast(np.random.default_rng(7), kind)
    assert np.array_equal(first[7], again)
    assert not np.allclose(first[7], first[8])
    table = np.array(first)
    assert table.shape == (60, 1024)
    assert np.isfinite(table).all()
    assert (table[:, 2] == 1).all()
    assert (table[:, 0] == 0).all()
    grey = table[:, 3].mean()
    assert grey < 0.9 if kind == "T1w" else grey > 1.1


def test_jitter_moves_each_tissue_on_its_own():
    tissue = relaxation(3.0)
    moved = jitter_relaxation(tissue, np.random.default_rng(0), 0.1)
    ratio = moved.t1 / tissue.t1
    assert 0.03 < np.log(ratio).std() < 0.25
    assert (moved.pd <= 1).all()
