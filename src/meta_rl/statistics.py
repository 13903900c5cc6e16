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
