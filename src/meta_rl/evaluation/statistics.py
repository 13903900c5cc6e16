"""Means and aggregate scores with 95 % intervals, over tasks or over seeds.

Scores of samples [seeds, tasks] are those of Agarwal et al. 2021, *Deep reinforcement learning at the edge
of the statistical precipice*. Every seed's policy is evaluated on the same tasks. A seed's luck therefore
shows on all tasks, and its scores are one observation, not one for each task.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student_t
from scipy.stats import trim_mean

CONFIDENCE = 0.95
FEWEST = 3  # seeds with a drawn interval: with two it is 12.7 standard errors long and hides all else

Statistic = Callable[..., np.ndarray]


class Interval(NamedTuple):
    """Estimates and the ends of their intervals, NaN where there is none. All three have the same shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def t_quantile(degrees: ArrayLike) -> np.ndarray:
    """How many standard errors the interval reaches to either side; NaN for no degree of freedom."""
    return student_t.ppf((1 + CONFIDENCE) / 2, degrees)


def summarise(frame: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Mean of `value` for each `by`, with the half width of its t-interval at 95 % (NaN for a single row).

    Returns:
        One row for each `by` (the index), with the columns mean, half_width, n.
    """
    groups = frame.groupby(by)[value]
    n = groups.count()
    half_width = t_quantile(n.to_numpy() - 1) * groups.std() / np.sqrt(n)
    return pd.DataFrame({"mean": groups.mean(), "half_width": half_width, "n": n})


def summarise_adaptation(frame: pd.DataFrame) -> pd.DataFrame:
    """Summary of adaptation.csv by gradient step.

    The interval is over tasks; with a column `seed` it is over the seeds' means, the replicates then.
    """
    if "seed" in frame:
        frame = frame.groupby(["seed", "gradient_step"], as_index=False).agg({"return_mean": "mean"})
    return summarise(frame, "gradient_step", "return_mean")


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


def mean_over_seeds(sample: ArrayLike) -> Interval:
    """The mean of [seeds, ...] over seeds, with its interval if there are at least `FEWEST` seeds."""
    sample = np.asarray(sample, dtype=float)
    return shown(over_seeds(lambda s: s.mean(axis=0), sample), len(sample))


def shown(interval: Interval, seeds: int) -> Interval:
    """The interval, without its ends if it is of fewer than `FEWEST` seeds."""
    nothing = np.full_like(interval.value, np.nan)
    return interval if seeds >= FEWEST else Interval(interval.value, nothing, nothing)


def mean_of_tasks(sample: np.ndarray) -> Interval:
    """The mean of [seeds, tasks, ...] over both, with its interval over seeds; of one seed, over tasks."""
    return mean_over_seeds((sample if len(sample) > 1 else sample.swapaxes(0, 1)).mean(axis=1))


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean of scores [seeds, tasks]: that of the middle half of them all.

    Of K scores, the K // 4 lowest and as many of the highest are left out.
    """
    return trim_mean(scores.ravel(), 0.25)


def mean(scores: np.ndarray) -> np.ndarray:
    """Mean of scores [seeds, tasks]."""
    return scores.mean()


def median(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over seeds, of scores [seeds, tasks]."""
    return np.median(scores.mean(axis=0))


def optimality_gap(scores: np.ndarray) -> np.ndarray:
    """How far scores [seeds, tasks] fall short of 1 on average; better ones count as 1."""
    return 1 - np.minimum(scores, 1).mean()


def probability_of_improvement(a: np.ndarray, b: np.ndarray) -> Interval:
    """P(a seed of `a` scores higher than one of `b`), mean over tasks, ties as 1/2; with its 95 % interval.

    Both are scores [seeds, tasks] on the same tasks; their numbers of seeds may differ.
    """
    return _within_0_and_1(over_seeds(lambda a, b: 0.5 + np.sign(a[:, None] - b[None]).mean() / 2, a, b))


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
