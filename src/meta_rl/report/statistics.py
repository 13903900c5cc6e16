"""Aggregate scores of samples [seeds, tasks], as Agarwal et al. 2021 define them, with 95 % intervals.

The paper is *Deep reinforcement learning at the edge of the statistical precipice*. Every seed's policy is
evaluated on the same tasks. A seed's luck therefore shows on all tasks, and its scores are one observation,
not one for each task. `over_seeds` respects that. `stratified` does not: it is the paper's interval, of runs
that are independent between tasks, and here it is too narrow.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import bootstrap, trim_mean

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


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean of scores [..., seeds, tasks]: that of the middle half of them all, as [...].

    Of K scores, the K // 4 lowest and as many of the highest are left out.
    """
    return trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1)


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean of scores [..., seeds, tasks], as [...]."""
    return scores.mean(axis=(-2, -1))


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over seeds, of scores [..., seeds, tasks], as [...]."""
    return np.median(scores.mean(axis=-2), axis=-1)


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How far scores [..., seeds, tasks] fall short of 1 on average, as [...]; better ones count as 1."""
    return 1 - np.minimum(scores, 1).mean(axis=(-2, -1))


def aggregate(
    scores: Mapping[str, np.ndarray], normalised: bool = True, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """IQM, mean, median and, of normalised scores, optimality gap of each method's scores [seeds, tasks].

    Returns:
        Columns method, metric, value, low, high, stratified_low, stratified_high, seeds. low and high are the
        interval over seeds. `seed` is used anew for each method: an interval does not depend on the methods
        beside it.
    """
    metrics = {"IQM": iqm, "mean": mean, "median": median}
    if normalised:
        metrics["optimality gap"] = optimality_gap

    def all_metrics(sample: np.ndarray) -> np.ndarray:
        return np.stack([metric(sample) for metric in metrics.values()])

    frames = []
    for method, sample in scores.items():
        columns = over_seeds(all_metrics, sample)._asdict()
        _, low, high = stratified(all_metrics, sample, resamples, seed)
        columns |= {"stratified_low": low, "stratified_high": high, "seeds": len(sample)}
        frames.append(pd.DataFrame({"method": method, "metric": list(metrics), **columns}))
    return pd.concat(frames, ignore_index=True)


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> Interval:
    """P(a seed of `a` scores higher than one of `b`), mean over tasks, ties as 1/2; with its 95 % interval.

    Both are scores [seeds, tasks] on the same tasks; their numbers of seeds may differ.
    """

    def statistic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0.5 + np.sign(a[:, None] - b[None]).mean() / 2

    return _within_0_and_1(over_seeds(statistic, a, b))


def performance_profile(scores: np.ndarray, thresholds: np.ndarray) -> Interval:
    """The fraction of scores [seeds, tasks] higher than each threshold [K], with pointwise intervals [K]."""
    return _within_0_and_1(over_seeds(lambda s: (s[..., None] > thresholds).mean(axis=(0, 1)), scores))


def _within_0_and_1(interval: Interval) -> Interval:
    return Interval(*(np.clip(x, 0, 1) for x in interval))


def seeds_text(n: int) -> str:
    """A number of seeds in words.

    >>> seeds_text(1)
    '1 seed'
    """
    return f"{n} seed" if n == 1 else f"{n} seeds"
