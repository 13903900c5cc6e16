"""Intervals over seeds: the formulas they come down to, and how often they hold."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from meta_rl.evaluation.statistics import Statistic, iqm, mean, mean_over_seeds, median, over_seeds

TASKS = np.linspace(0.2, 1.2, 20)  # what the tasks are worth, the same in every experiment


def experiment(rng: np.random.Generator, seeds: int, spread: float) -> np.ndarray:
    """Scores [seeds, 20] whose seeds differ by `spread`, on all tasks alike, and by 0.1 on each task."""
    return TASKS + rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 0.1, (seeds, 20))


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return mean(a) - mean(b)


def test_of_a_mean_it_is_the_t_interval() -> None:
    scores = experiment(np.random.default_rng(0), 5, 0.1)
    expected = ttest_1samp(scores.mean(axis=1), 0).confidence_interval(0.95)
    interval = over_seeds(mean, scores)
    assert interval.value == pytest.approx(scores.mean())
    assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])


def test_of_a_difference_of_means_it_is_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = experiment(rng, 4, 0.3), experiment(rng, 7, 0.1)
    expected = ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False).confidence_interval(0.95)
    _, low, high = over_seeds(difference, a, b)
    assert [low, high] == pytest.approx([expected.low, expected.high])


def test_two_seeds_by_hand() -> None:
    """Their means are 0.4 and 0.6: mean 0.5, standard error 0.1, and t_0.975 with 1 degree is 12.706."""
    _, low, high = over_seeds(mean, np.array([[0.3, 0.5], [0.6, 0.6]]))
    assert [low, high] == pytest.approx([0.5 - 1.2706, 0.5 + 1.2706], abs=1e-4)


@pytest.mark.parametrize("statistic", [mean, iqm, median])
@pytest.mark.parametrize("seeds", [3, 5])
def test_it_holds_in_95_percent_of_experiments(statistic: Statistic, seeds: int) -> None:
    rng = np.random.default_rng(0)
    truth = statistic(TASKS[None])
    intervals = [over_seeds(statistic, experiment(rng, seeds, 0.1)) for _ in range(300)]
    assert 0.91 < np.mean([low <= truth <= high for _, low, high in intervals]) < 0.98


@pytest.mark.parametrize(("seeds", "expected"), [(3, 0.75), (5, 0.84)])
def test_a_bootstrap_of_whole_seeds_holds_too_rarely(seeds: int, expected: float) -> None:
    """What the documentation says of it."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(1000, seeds))
    resampled = means[:, rng.integers(seeds, size=(2000, seeds))].mean(axis=-1)
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(expected, abs=0.04)


def test_what_seeds_share_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    luck, noise = rng.normal(size=(8, 1)), rng.normal(0, 0.1, (8, 20))

    def width(scores: np.ndarray) -> float:
        _, low, high = over_seeds(mean, scores)
        return high - low

    assert width(TASKS + noise + luck - luck.mean()) > 20 * width(TASKS + noise)


def test_it_does_not_depend_on_the_order_of_seeds_or_tasks() -> None:
    rng = np.random.default_rng(0)
    scores = experiment(rng, 5, 0.1)
    shuffled = scores[rng.permutation(5)][:, rng.permutation(20)]
    assert np.array(over_seeds(iqm, shuffled)) == pytest.approx(np.array(over_seeds(iqm, scores)))


@pytest.mark.filterwarnings("error")
def test_without_spread_there_is_no_interval() -> None:
    one, same = np.full((1, 3), 0.7), np.full((4, 3), 0.7)
    for interval in (over_seeds(iqm, one), over_seeds(iqm, same)):
        assert interval.value == pytest.approx(0.7)
        assert np.isnan([interval.low, interval.high]).all()
    assert np.isnan(over_seeds(mean, np.full((3, 1), 0.1)).low)  # (0.1 + 0.1 + 0.1) / 3 is not 0.1
    assert np.isnan(over_seeds(difference, one, TASKS[:6].reshape(2, 3)).low)
    assert np.isfinite(over_seeds(difference, same, TASKS[:6].reshape(2, 3)).low)


def test_the_interval_of_three_seeds() -> None:
    mean, low, high = mean_over_seeds([1.0, 2.0, 3.0])
    assert mean == 2
    # Student's t for two degrees of freedom at 97.5 % is 4.3027; the standard error is 1 / sqrt(3).
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)


def test_fewer_seeds_have_none() -> None:
    for values in ([1.0], [1.0, 3.0]):
        assert mean_over_seeds(values)[0] == np.mean(values)
        assert np.isnan(mean_over_seeds(values)[1:]).all()
