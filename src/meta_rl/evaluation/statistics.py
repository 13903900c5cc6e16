"""Means with 95 % intervals, over tasks or over seeds."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student_t

CONFIDENCE = 0.95


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


def normalised_scores(returns: pd.DataFrame, random: np.ndarray, oracle: np.ndarray) -> pd.DataFrame:
    """(mean return - random's) / (oracle's - random's), with the half width of its 95 % interval over tasks.

    Numerator and denominator are means over the same tasks, so what makes a task hard for everyone largely
    cancels. The interval is that of a ratio of means, linearised (Cochran 1977, chapter 6).

    Args:
        returns: Mean return of every task (rows) after every gradient step (columns).
        random: [N] return of the random policy on each task.
        oracle: [N] return of the oracle on each task; higher than random's on average.

    Returns:
        One row for each gradient step (the index), with the columns mean and half_width.
    """
    gain, gap = returns.sub(random, axis=0), oracle - random
    score = gain.mean() / gap.mean()
    residual = gain - np.outer(gap, score)
    error = residual.std() / np.sqrt(len(gap)) / gap.mean()
    return pd.DataFrame({"mean": score, "half_width": t_quantile(len(gap) - 1) * error})
