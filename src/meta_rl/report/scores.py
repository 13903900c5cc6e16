"""Aggregate scores over seeds and tasks, as Agarwal et al. 2021 define them.

The paper is *Deep reinforcement learning at the edge of the statistical precipice*. Scores are [seeds,
tasks]: every seed's policy is evaluated on the same tasks. Intervals are those of `intervals.over_seeds`.
rliable, the paper's library, is not used: its release 1.2.0 cannot be imported beside pandas 3.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import trim_mean

from meta_rl.report.intervals import Interval, over_seeds, stratified


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
    """IQM, mean, median and, of normalised scores, optimality gap of each method.

    Args:
        scores: By method, the scores [seeds, tasks].
        normalised: Whether a score of 1 is the oracle's, so that there is an optimality gap.
        resamples: Number of samples of the stratified bootstrap.
        seed: Seed of the stratified bootstrap, used anew for each method: an interval does not depend on the
            methods beside it.

    Returns:
        Columns method, metric, value, low, high, stratified_low, stratified_high, seeds. low and high are the
        interval over seeds. The stratified one is for comparison with papers; here it is too narrow.
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

    Args:
        a: Scores [seeds of a, tasks].
        b: Scores [seeds of b, tasks] on the same tasks.
    """

    def statistic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 0.5 + np.sign(a[:, None] - b[None]).mean() / 2

    return _within_0_and_1(over_seeds(statistic, a, b))


def performance_profiles(scores: Mapping[str, np.ndarray], thresholds: ArrayLike) -> pd.DataFrame:
    """The fraction of all scores, over seeds and tasks, that is higher than each threshold.

    Args:
        scores: By method, the scores [seeds, tasks].
        thresholds: The thresholds [K], in units of the scores.

    Returns:
        Columns method, threshold, fraction, low, high. Intervals are pointwise, one threshold at a time.
    """
    thresholds = np.asarray(thresholds)

    def statistic(sample: np.ndarray) -> np.ndarray:
        return (sample[..., None] > thresholds).mean(axis=(0, 1))

    frames = []
    for method, sample in scores.items():
        fraction, low, high = _within_0_and_1(over_seeds(statistic, sample))
        columns = {"threshold": thresholds, "fraction": fraction, "low": low, "high": high}
        frames.append(pd.DataFrame({"method": method, **columns}))
    return pd.concat(frames, ignore_index=True)


def _within_0_and_1(interval: Interval) -> Interval:
    return Interval(*(np.clip(x, 0, 1) for x in interval))
