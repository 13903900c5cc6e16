"""Means with 95 % intervals, over tasks or over seeds. Knows NumPy and pandas only."""

from functools import cache

import numpy as np
import pandas as pd


@cache
def t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t distribution, by quadrature; NaN for no degree of freedom.

    >>> round(t_quantile(39), 3)
    2.023
    """
    if degrees < 1:
        return np.nan
    # With t = sqrt(degrees) tan(u) the density becomes proportional to cos(u)^(degrees - 1).
    u = np.linspace(0, np.pi / 2, 100_001)
    mass = np.cumsum(np.cos((u[1:] + u[:-1]) / 2) ** (degrees - 1))
    return float(np.sqrt(degrees) * np.tan(np.interp(0.95, mass / mass[-1], u[1:])))


def summarise(frame: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Mean of `value` for each `by`, with the half width of its t-interval at 95 % (NaN for a single row).

    Returns:
        One row for each `by` (the index), with the columns mean, half_width, n.
    """
    groups = frame.groupby(by)[value]
    n = groups.count()
    half_width = n.map(lambda count: t_quantile(count - 1)) * groups.std() / np.sqrt(n)
    return pd.DataFrame({"mean": groups.mean(), "half_width": half_width, "n": n})


def summarise_adaptation(frame: pd.DataFrame) -> pd.DataFrame:
    """Summary of adaptation.csv by gradient step.

    The interval is over tasks; with a column `seed` it is over the seeds' means, the replicates then.
    """
    if "seed" in frame:
        frame = frame.groupby(["seed", "gradient_step"], as_index=False).agg({"return_mean": "mean"})
    return summarise(frame, "gradient_step", "return_mean")
