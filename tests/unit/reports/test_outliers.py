import numpy as np
import pytest

from bids_gan.reports.outliers import MIN_VALUES, THRESHOLD, robust_scores


def test_score_is_the_distance_in_standard_deviations_of_a_normal_sample():
    values = np.random.default_rng(0).normal(10, 2, 20_001)
    scores = robust_scores(values)
    assert np.median(scores) == 0
    assert scores.std() == pytest.approx(1, abs=0.03)


def test_far_values_do_not_hide_each_other():
    values = np.array([*np.linspace(0.9, 1.1, 20), 50, 60, 70])
    assert np.flatnonzero(np.abs(robust_scores(values)) > THRESHOLD).tolist() == [20, 21, 22]


def test_majority_of_equal_values_still_shows_who_differs():
    scores = robust_scores(np.array([1.0] * 19 + [2.0]))
    assert scores[:19].tolist() == [0] * 19
    # the mean absolute deviation is 1/20
    assert scores[19] == pytest.approx(20 / 1.2533)


def test_few_or_equal_values_are_never_far():
    assert not robust_scores(np.array([0, 0, 0, 1e6][: MIN_VALUES - 1])).any()
    assert not robust_scores(np.full(50, 3.0)).any()
    assert robust_scores(np.array([])).size == 0
