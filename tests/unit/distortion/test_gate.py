"""Score and limits of the no-harm gate: what they say of numbers, without a fit."""

import numpy as np
import pytest

from bids_gan.distortion.quality import expected_numbers, physical_reasons, reasons
from bids_gan.distortion.score import PHRASES, Score, calibrated
from bids_gan.distortion.types import FieldEstimate, FieldPrior
from bids_gan.reports.numbers import known_numbers

SCORE = Score(
    names=("left_bend_mm", "axis_share"),
    means=(np.log(0.5), np.log(1.1)),
    deviations=(0.2, 0.5),
    weights=(-2.0, -1.0),
    offset=0.5,
    limit=1.0,
)
TYPICAL = {"left_bend_mm": 0.4, "axis_share": 1.0}
FINE = {
    "jacobian_steep_share": 0.0,
    "displacement_p99_mm": 8.0,
    "overlap": 0.97,
    "expected_share": 0.7,
}


def numbers(deviations):
    """Numbers so many standard deviations to the good side of the calibration's mean."""
    rule = calibrated()
    columns = zip(rule.names, rule.means, rule.deviations, rule.weights, strict=True)
    return FINE | {n: np.exp(m + deviations * d * np.sign(w)) - 0.1 for n, m, d, w in columns}


def test_score_is_a_weighted_sum_of_logarithms():
    assert SCORE.of(TYPICAL) == pytest.approx(0.5)
    smaller = {"left_bend_mm": 0.5 * np.exp(-0.2) - 0.1, "axis_share": 1.1 * np.exp(0.5) - 0.1}
    assert SCORE.of(smaller) == pytest.approx(0.5 + 2 - 1)


def test_nothing_weighs_more_than_what_was_calibrated():
    far, three = (SCORE.of(TYPICAL | {"axis_share": x}) for x in (1e6, 1.1 * np.exp(1.5) - 0.1))
    assert far == pytest.approx(three)


@pytest.mark.parametrize("name", SCORE.names)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_as_bad_as_can_be(name, value):
    assert SCORE.of(TYPICAL | {name: value}) == SCORE.of(TYPICAL | {name: 1e6})


def test_objection_names_score_limit_and_what_weighs_most():
    text = SCORE.objection({"left_bend_mm": 0.9, "axis_share": 1.2})
    assert f"{SCORE.of({'left_bend_mm': 0.9, 'axis_share': 1.2}):.2f}" in text
    assert "1.00 is asked for" in text
    first, second = (PHRASES[name] for name in SCORE.names)
    assert text.index(f"{first} 0.900") < text.index(f"{second} 1.200")
    assert "typical of simulated runs: 0.400" in text
    assert SCORE.objection({"left_bend_mm": 0.1, "axis_share": 1.0}) is None


def test_released_score_passes_good_numbers_and_refuses_bad_ones():
    assert reasons(numbers(1.5)) == []
    assert len(reasons(numbers(-1.5))) == 1


def test_every_number_of_the_released_score_has_a_name_and_a_phrase():
    assert set(calibrated().names) == set(PHRASES)
    assert {*calibrated().names, "gate_score"} <= set(known_numbers())


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ({"jacobian_steep_share": 0.05}, "compressed"),
        ({"displacement_p99_mm": 30.0}, "percentile"),
        ({"overlap": 0.5}, "mask"),
        ({"expected_share": 2.0}, "expects an error"),
        ({"expected_share": np.nan}, "expects an error"),
    ],
)
def test_no_score_excuses_a_field_that_is_not_physical(broken, word):
    good = numbers(1.5)
    assert physical_reasons(good) == []
    (sentence,) = physical_reasons(good | broken)
    assert word in sentence
    assert sentence in reasons(good | broken)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, -1.0])
def test_expected_numbers_of_a_multiple_of_what_was_expected(share):
    rng = np.random.default_rng(0)
    mm = rng.normal(1, 2, (8, 9, 10)).astype(np.float32)
    prior = FieldPrior(share * mm, np.full(mm.shape, 0.5), np.eye(4))
    estimate = FieldEstimate(mm, mm, np.eye(4), np.ones(mm.shape, bool), expected=prior)
    found, size = expected_numbers(estimate), np.sqrt(np.mean(mm**2))
    assert mm.std() < 0.95 * size
    assert found["expected_error_mm"] == pytest.approx(0.5)
    assert found["expected_share"] == pytest.approx(0.5 / mm.std(), rel=1e-4)
    assert found["refined_field"] == pytest.approx(abs(1 - share) * size / 0.5, abs=1e-5)
