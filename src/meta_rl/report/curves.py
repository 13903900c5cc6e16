"""Numbers over seeds: curves of a training, and single numbers, with their 95 % intervals."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from meta_rl.report.intervals import Interval, over_seeds

FEWEST = 3  # seeds of an interval: of two it reaches 12.7 standard errors, and hides the rest of a figure
POINTS = 200  # of a curve, at most: more than a figure resolves
Axis = Callable[[pd.DataFrame], np.ndarray]  # from metrics to what a curve is drawn against


def table(x: ArrayLike, y: ArrayLike, low: Any = np.nan, high: Any = np.nan, note: Any = "") -> pd.DataFrame:
    """The data of a series; columns of one value each may be given once."""
    data = pd.DataFrame({"x": np.asarray(x), "y": np.asarray(y, dtype=float)})
    for column, values in {"low": low, "high": high}.items():
        data[column] = np.broadcast_to(np.asarray(values, dtype=float), len(data))
    data["note"] = note
    return data


def seeds_text(n: int) -> str:
    """How many seeds, in words.

    >>> seeds_text(1)
    '1 seed'
    """
    return f"{n} seed" if n == 1 else f"{n} seeds"


def mean_over_seeds(sample: np.ndarray) -> Interval:
    """Mean of [seeds, ...] over seeds, with its interval if there are enough of them."""
    return shown(over_seeds(lambda s: s.mean(axis=0), sample), len(sample))


def shown(interval: Interval, seeds: int) -> Interval:
    """The interval without its ends if they are of too few seeds."""
    nothing = np.full_like(interval.value, np.nan)
    return interval if seeds >= FEWEST else Interval(interval.value, nothing, nothing)


def point(values: ArrayLike) -> tuple[float, float, float]:
    """Mean of one number a seed, with the ends of its interval."""
    value, low, high = mean_over_seeds(np.asarray(values, dtype=float))
    return float(value), float(low), float(high)


def column(metrics: pd.DataFrame, name: str) -> np.ndarray:
    """A column as numbers, NaN where it is empty; all NaN if there is no such column."""
    return metrics[name].to_numpy(float) if name in metrics.columns else np.full(len(metrics), np.nan)


def iterations(metrics: pd.DataFrame) -> np.ndarray:
    """Meta-iterations done."""
    return column(metrics, "step")


def million_steps(metrics: pd.DataFrame) -> np.ndarray:
    """Environment steps so far, in millions."""
    return column(metrics, "env_steps") / 1e6


def minutes(metrics: pd.DataFrame) -> np.ndarray:
    """Time spent on sampling and updates so far; without starting up, logging and checkpoints."""
    return seconds(metrics).cumsum() / 60


def seconds(metrics: pd.DataFrame) -> np.ndarray:
    """Of each iteration."""
    return column(metrics, "time_sampling") + column(metrics, "time_update")


def curve(runs: Sequence[pd.DataFrame], name: str, axis: Axis) -> pd.DataFrame | None:
    """Mean over seeds of a metric against `axis`, with its interval; None where no run has the metric.

    Each run's rows are averaged in blocks so that at most POINTS are left. Where seeds do not share their
    places on the axis, as those of time never do, they are interpolated linearly on the range they all cover.
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
    return table(grid, *mean_over_seeds(y), note=seeds_text(len(thinned)))


def block_size(rows: int) -> int:
    """Rows that make one point of a curve."""
    return max(1, -(-rows // POINTS))


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of x and y in blocks of the rows that have a number."""
    known = np.isfinite(y)
    size = block_size(int(known.sum()))
    starts = np.arange(0, known.sum(), size)
    if not len(starts):
        return np.empty(0), np.empty(0)
    lengths = np.diff(np.append(starts, known.sum()))
    return np.add.reduceat(x[known], starts) / lengths, np.add.reduceat(y[known], starts) / lengths
