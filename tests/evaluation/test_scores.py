"""Aggregates, probability of improvement and profiles, against numbers worked by hand."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import mannwhitneyu

from meta_rl.evaluation.statistics import (
    Statistic,
    iqm,
    mean,
    median,
    optimality_gap,
    over_seeds,
    performance_profile,
    probability_of_improvement,
)

HAND = np.array([[0.0, 1.0, 5.0, 2.0], [7.0, 3.0, 2.0, 4.0]])


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"a": rng.normal(0.7, 0.2, (5, 6)), "b": rng.normal(0.5, 0.2, (3, 6))}


def test_aggregates_by_hand() -> None:
    """Sorted 0 1 2 2 3 4 5 7: the middle half is 2 2 3 4. Task means 3.5 2 3.5 3. One of 8 is 1 short."""
    measures = (iqm, mean, median, optimality_gap)
    assert [measure(HAND) for measure in measures] == pytest.approx([2.75, 3, 3.25, 1 / 8])


def test_iqm_leaves_out_a_quarter_rounded_down() -> None:
    assert iqm(np.array([[9.0, 1.0, 3.0, 2.0, 100.0, -50.0, 4.0]])) == pytest.approx((1 + 2 + 3 + 4 + 9) / 5)
    assert iqm(np.array([[1.0, 2.0, 9.0]])) == 4


@pytest.mark.parametrize("measure", [iqm, mean, median])
def test_aggregates_shift_with_the_scores(scores: dict[str, np.ndarray], measure: Statistic) -> None:
    here, there = over_seeds(measure, scores["a"]), over_seeds(measure, 2 * scores["a"] + 7)
    assert here.low < here.value < here.high
    assert np.array(there) == pytest.approx(2 * np.array(here) + 7)


def test_probability_of_improvement_by_counting() -> None:
    """Task 1: 2 > 1, 2 > 0, 3 > 1, 3 > 0 of 4 pairs. Task 2: 5 = 5, 5 < 6, 4 < 5, 4 < 6."""
    a, b = np.array([[2.0, 5.0], [3.0, 4.0]]), np.array([[1.0, 5.0], [0.0, 6.0]])
    assert probability_of_improvement(a, b).value == (1 + 0.125) / 2


def test_probability_of_improvement_is_mann_whitneys(scores: dict[str, np.ndarray]) -> None:
    a, b = scores["a"].round(1), scores["b"].round(1)  # with ties
    statistic = mannwhitneyu(a, b, axis=0).statistic / (5 * 3)
    forth, back = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert forth.value == pytest.approx(statistic.mean())
    assert [back.value, back.low] == pytest.approx([1 - forth.value, 1 - forth.high])
    assert np.array(probability_of_improvement(3 * a, 3 * b)) == pytest.approx(np.array(forth))
    assert 0 <= forth.low < forth.value < forth.high <= 1


@pytest.mark.filterwarnings("error")
def test_if_all_seeds_agree_there_is_no_interval() -> None:
    probability = probability_of_improvement(HAND + 10, HAND)
    assert probability.value == 1
    assert np.isnan([probability.low, probability.high]).all()
    same = probability_of_improvement(HAND[:1], HAND[:1])
    assert same.value == 0.5
    assert np.isnan(same.low)


def test_probability_of_improvement_holds_in_95_percent_of_experiments() -> None:
    """Seeds of the same spread on all tasks, one better on average: P(N(1, 2) > 0) = 0.7602."""
    rng = np.random.default_rng(0)

    def sample(mean: float) -> np.ndarray:
        return rng.normal(mean, 1, (10, 1)) + np.arange(4)

    intervals = [probability_of_improvement(sample(1), sample(0)) for _ in range(300)]
    assert 0.9 < np.mean([low <= 0.7602 <= high for _, low, high in intervals]) < 0.98
    assert np.mean([value for value, *_ in intervals]) == pytest.approx(0.7602, abs=0.02)


def test_profiles_by_hand() -> None:
    """Seeds are above 2 in 1 and 3 of their 4 tasks: 0.5, standard error 0.25, t_0.975 = 12.7."""
    hand = performance_profile(HAND, np.array([-1, 2, 7]))
    assert hand.value.tolist() == [1, 0.5, 0]  # 7 is not higher than 7
    assert hand.low.tolist() == pytest.approx([np.nan, 0, np.nan], nan_ok=True)
    assert hand.high.tolist() == pytest.approx([np.nan, 1, np.nan], nan_ok=True)
    assert performance_profile(HAND - 10, np.array([-1, 2, 7])).value.tolist() == [0, 0, 0]


def test_the_area_under_a_profile_is_the_mean(scores: dict[str, np.ndarray]) -> None:
    """The mean of scores within 0 and 2 is the integral of P(score > t)."""
    thresholds, sample = np.linspace(0, 2, 2001), scores["a"].clip(0, 2)
    fraction, low, high = performance_profile(sample, thresholds)
    assert trapezoid(fraction, thresholds) == pytest.approx(sample.mean(), abs=1e-3)
    known = np.isfinite(low)
    assert known.any()
    assert (low <= fraction)[known].all()
    assert (fraction <= high)[known].all()
