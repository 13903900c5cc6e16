"""The numbers of a training run: columns of metrics.csv, curves over seeds, and the time of an iteration."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from meta_rl.charts.chart import series_data
from meta_rl.report.groups import Group
from meta_rl.report.intervals import mean_over_seeds, over_seeds, seeds_text, shown

Axis = Callable[[pd.DataFrame], np.ndarray]  # from the table of metrics.csv to the x of its rows
POINTS = 200  # on a curve at most: more than a figure resolves
LAST = 10  # iterations whose mean is the final return


def column(metrics: pd.DataFrame, name: str) -> np.ndarray:
    """A column of metrics.csv as numbers [iterations]: NaN where it is empty or missing."""
    return metrics[name].to_numpy(float) if name in metrics.columns else np.full(len(metrics), np.nan)


def iterations(metrics: pd.DataFrame) -> np.ndarray:
    """The meta-iterations done."""
    return column(metrics, "step")


def million_steps(metrics: pd.DataFrame) -> np.ndarray:
    """The environment steps so far, in millions."""
    return column(metrics, "env_steps") / 1e6


def minutes(metrics: pd.DataFrame) -> np.ndarray:
    """The time of sampling and updates so far, in minutes; without starting up, logging and checkpoints."""
    return seconds(metrics).cumsum() / 60


def seconds(metrics: pd.DataFrame) -> np.ndarray:
    """The time of sampling and update of each iteration, in seconds."""
    return column(metrics, "time_sampling") + column(metrics, "time_update")


def curve(runs: Sequence[pd.DataFrame], name: str, axis: Axis) -> pd.DataFrame | None:
    """The mean over seeds of a metric against `axis`, with its interval.

    The rows of each run are averaged in blocks so that at most `POINTS` are left. Where the x of the seeds
    differ, as times always do, they are interpolated linearly on the range that all cover.

    Args:
        runs: For each seed, the table of metrics.csv.
        name: The column to average.
        axis: What to draw it against.

    Returns:
        Data for a `Series`; None if no run has the metric.
    """
    thinned = [_thin(axis(metrics), column(metrics, name)) for metrics in runs]
    thinned = [(x, y) for x, y in thinned if len(x)]
    if not thinned:
        return None
    grid = thinned[0][0]
    if any(not np.array_equal(x, grid) for x, _ in thinned):
        start, stop = max(x[0] for x, _ in thinned), min(x[-1] for x, _ in thinned)
        grid = np.linspace(start, stop, min(len(x) for x, _ in thinned))
    y = np.stack([np.interp(grid, x, y) for x, y in thinned])
    return series_data(grid, *mean_over_seeds(y), note=seeds_text(len(thinned)))


def block_size(rows: int) -> int:
    """How many of `rows` rows are averaged to one point of a curve."""
    return max(1, -(-rows // POINTS))


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The means of x and y in blocks of rows, without rows where y is NaN."""
    known = np.isfinite(y)
    size = block_size(int(known.sum()))
    starts = np.arange(0, known.sum(), size)
    if not len(starts):
        return np.empty(0), np.empty(0)
    lengths = np.diff(np.append(starts, known.sum()))
    return np.add.reduceat(x[known], starts) / lengths, np.add.reduceat(y[known], starts) / lengths


def final_returns(group: Group) -> np.ndarray:
    """The return after adaptation at the end of the training [seeds]: the mean of the last iterations."""
    return np.array([column(metrics, "return_post")[-LAST:].mean() for metrics in group.metrics])


PARTS: dict[str, Axis] = {
    "sampling": lambda metrics: column(metrics, "time_sampling"),
    "update": lambda metrics: column(metrics, "time_update"),
    "both": seconds,
}


def median_seconds(group: Group, part: str = "both") -> np.ndarray:
    """The median time of an iteration [seeds], in seconds; `part` is a key of `PARTS`."""
    return np.array([np.median(PARTS[part](metrics)) for metrics in group.metrics])


def time_ratio(group: Group, reference: Group, part: str = "both") -> tuple[float, float, float]:
    """The time of an iteration over the reference's, and the ends of its interval, NaN for too few seeds.

    It is the ratio of geometric means over seeds, with Welch's interval for the logarithms.
    """
    a, b = (np.log(median_seconds(g, part)) for g in (group, reference))
    difference = over_seeds(lambda a, b: a.mean(axis=0) - b.mean(axis=0), a, b)
    ratio, low, high = np.exp(shown(difference, min(len(a), len(b))))
    return float(ratio), float(low), float(high)
