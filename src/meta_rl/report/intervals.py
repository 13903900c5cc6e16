"""95 % intervals for statistics of samples [seeds, tasks]: over seeds, and the one usual in papers.

Every seed's policy is evaluated on the same tasks. A seed's luck therefore shows on all tasks, and its scores
are one observation, not one for each task. `over_seeds` respects that. `stratified` does not: it is the
interval of Agarwal et al. 2021, whose runs are independent between tasks, and here it is too narrow.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import bootstrap

from meta_rl.evaluation.statistics import CONFIDENCE, t_quantile

Statistic = Callable[..., np.ndarray]

FEWEST = 3  # seeds with a drawn interval: with two it is 12.7 standard errors long and hides all else


class Interval(NamedTuple):
    """Estimates and the ends of their intervals, NaN where there is none. All three have the same shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def over_seeds(statistic: Statistic, *samples: np.ndarray) -> Interval:
    """A statistic with its interval over seeds, for the tasks as they are: a jackknife with Student's t.

    Each seed is left out once, with all its tasks. From the n results, the variance of the statistic is
    (n - 1) / n * (sum of squared deviations from their mean); those of independent samples add up (Tukey
    1958; Efron and Tibshirani 1993, chapter 11). Degrees of freedom are n - 1, of several samples Welch and
    Satterthwaite's. For a mean over seeds this is the t-interval, for a difference of means Welch's.

    A bootstrap of whole seeds would be too narrow for few seeds: where its 95 % interval holds in about 75 %
    of cases with 3 seeds and 85 % with 5, this one holds in about 95 % (tests/report/test_intervals.py).

    Args:
        statistic: A function from the samples to an array of any shape.
        samples: Independent samples [seeds, ...], which may differ in their number of seeds. There is no
            interval if one has a single seed, nor where all seeds agree: no spread among a few is no proof
            of none.
    """
    value = np.asarray(statistic(*samples), dtype=float)
    if any(len(sample) < 2 for sample in samples):
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    variances = [_jackknife_variance(statistic, samples, i) for i in range(len(samples))]
    variance = np.sum(variances, axis=0)
    shares = sum(v**2 / (len(sample) - 1) for v, sample in zip(variances, samples, strict=True))
    with np.errstate(invalid="ignore"):  # no spread: 0 / 0 degrees of freedom, and no interval
        half_width = t_quantile(variance**2 / shares) * np.sqrt(variance)
    return Interval(value, value - half_width, value + half_width)


def _jackknife_variance(statistic: Statistic, samples: tuple[np.ndarray, ...], index: int) -> np.ndarray:
    """The part of the statistic's variance that the seeds of sample `index` contribute."""
    before, sample, after = samples[:index], samples[index], samples[index + 1 :]
    n = len(sample)
    left_out = np.stack([statistic(*before, np.delete(sample, i, 0), *after) for i in range(n)])
    deviations = left_out - left_out[0]  # exactly 0 if all are the same, where their mean would be rounded
    return (n - 1) * deviations.var(axis=0)


def mean_over_seeds(sample: np.ndarray) -> Interval:
    """The mean of [seeds, ...] over seeds, with its interval if there are at least `FEWEST` seeds."""
    return shown(over_seeds(lambda s: s.mean(axis=0), sample), len(sample))


def shown(interval: Interval, seeds: int) -> Interval:
    """The interval, without its ends if it is of fewer than `FEWEST` seeds."""
    nothing = np.full_like(interval.value, np.nan)
    return interval if seeds >= FEWEST else Interval(interval.value, nothing, nothing)


def point(values: ArrayLike) -> tuple[float, float, float]:
    """The mean of one number per seed, with the ends of its interval as in `mean_over_seeds`."""
    value, low, high = mean_over_seeds(np.asarray(values, dtype=float))
    return float(value), float(low), float(high)


def mean_interval(sample: np.ndarray) -> tuple[float, float, float]:
    """The mean of [seeds, tasks] with the ends of its interval over seeds; of a single seed, over tasks."""
    return point((sample if len(sample) > 1 else sample.T).mean(axis=1))


def stratified(statistic: Statistic, scores: np.ndarray, resamples: int, seed: int) -> Interval:
    """A statistic with the percentile interval of a bootstrap in which each task draws its own seeds.

    As rliable computes it. It takes a seed's scores on two tasks to be independent, and tasks as they are.

    Args:
        statistic: A function from [..., seeds, tasks] to [...], or to [metrics, ...].
        scores: A sample [seeds, tasks]. There is no interval with a single seed.
        resamples: Number of bootstrap samples.
        seed: Seed of the bootstrap's random numbers.
    """
    value = np.asarray(statistic(scores), dtype=float)
    if len(scores) < 2:
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    result = bootstrap(
        tuple(scores.T),  # one sample a task; samples are drawn independently of one another
        lambda *tasks, axis: statistic(np.stack(tasks, axis=-1)),
        vectorized=True,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(value, *result.confidence_interval)


def seeds_text(n: int) -> str:
    """A number of seeds in words.

    >>> seeds_text(1)
    '1 seed'
    """
    return f"{n} seed" if n == 1 else f"{n} seeds"
