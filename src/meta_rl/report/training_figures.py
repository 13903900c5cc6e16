"""Figures of the training: learning curves, and the second-order term of the meta-gradient."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.figures import RETURN
from meta_rl.evaluation.statistics import mean_over_seeds, seeds_text
from meta_rl.report.groups import Group

POINTS = 200  # on a curve at most: more than a figure resolves
OVER_SEEDS = "Mean over seeds; band: 95 % t-interval over seeds, for 3 or more."
RETURNS = {"return_post": "after adaptation", "return_pre": "before adaptation"}
AXES = {  # by the end of the key: the column of metrics.csv and its label
    "iterations": ("step", "iterations"),
    "steps": ("million_steps", "environment steps (millions)"),
    "time": ("minutes", "time (minutes)"),
}
LEARNING = (
    "Return on the training tasks while meta-learning, before each outer update. Environment steps are those "
    "of all phases; time is that of sampling and updates, and counts what else the machine did."
)
SECOND_ORDER = {  # by column: title, label, and where an interval ends
    "second_order_norm": (
        "Relative size of the second-order term",
        "|g_MAML - g_FOMAML| / |g_MAML|",
        (0.0, np.inf),
    ),
    "second_order_cosine": (
        "Direction of the meta-gradient with and without the second-order term",
        "cosine",
        (-1.0, 1.0),
    ),
}
SAME_DATA = (
    "The meta-gradient beside its first-order approximation, both of the same data; the method says which of "
    "them was followed."
)


def learning_charts(chosen: Mapping[str, Group], setting: str) -> list[Chart]:
    """Three charts, each with a panel for the returns after and before adaptation.

    Args:
        chosen: By method, the group to show.
        setting: A sentence for the captions on the settings of these groups; "" for none.
    """
    trained = [group for group in chosen.values() if group.metrics]
    charts = []
    for key, (column, label) in AXES.items() if trained else ():
        panels = [Panel(when, label, RETURN, curves(trained, name, column)) for name, when in RETURNS.items()]
        caption = " ".join(filter(None, [LEARNING, OVER_SEEDS, averaging(trained), setting]))
        title = f"Learning curves against {label.partition(' (')[0]}"
        charts.append(Chart(f"learning_{key}", title, caption, tuple(panels)))
    return charts


def second_order_charts(chosen: Mapping[str, Group]) -> list[Chart]:
    """Relative norm and cosine of the second-order term over the training; none if no run has them.

    Args:
        chosen: By method, the group to show.
    """
    charts = []
    for key, (title, label, possible) in SECOND_ORDER.items():
        series = curves(chosen.values(), key)
        for data in (one.data for one in series):
            data[["low", "high"]] = data[["low", "high"]].clip(*possible)
        if series:
            panel = Panel("", "iterations", label, series)
            charts.append(Chart(key, title, f"{SAME_DATA} {OVER_SEEDS}", (panel,)))
    return charts


def curve(runs: Sequence[pd.DataFrame], name: str, axis: str = "step") -> pd.DataFrame | None:
    """The mean over seeds of a metric against another one, with its interval.

    The rows of each run are averaged in blocks so that at most `POINTS` are left. Where the x of the seeds
    differ, as times always do, they are interpolated linearly on the range that all cover.

    Args:
        runs: For each seed, the table of metrics.csv.
        name: The column to average.
        axis: The column to draw it against.

    Returns:
        Data for a `Series`; None if no run has the metric.
    """
    found = [metrics[[axis, name]].dropna().to_numpy() for metrics in runs if name in metrics]
    thinned = [_thin(rows).T for rows in found if len(rows)]
    if not thinned:
        return None
    grid = thinned[0][0]
    if any(not np.array_equal(x, grid) for x, _ in thinned):
        start, stop = max(x[0] for x, _ in thinned), min(x[-1] for x, _ in thinned)
        grid = np.linspace(start, stop, min(len(x) for x, _ in thinned))
    y = [np.interp(grid, x, y) for x, y in thinned]
    return series_data(grid, *mean_over_seeds(y), note=seeds_text(len(thinned)))


def curves(groups: Iterable[Group], name: str, axis: str = "step") -> tuple[Series, ...]:
    """For each group that has the metric `name`, its curve against `axis` under the name of its method."""
    found = ((group.method, curve(group.metrics, name, axis)) for group in groups)
    return tuple(Series(method, data) for method, data in found if data is not None)


def averaging(groups: Sequence[Group]) -> str:
    """A sentence on how many iterations are averaged to one point; "" if there is nothing to average."""
    size = _block_size(max(len(metrics) for group in groups for metrics in group.metrics))
    return f"Each point averages up to {size} iterations." if size > 1 else ""


def _thin(rows: np.ndarray) -> np.ndarray:
    """The means of blocks of rows [rows, 2]; the last block may be shorter."""
    size = _block_size(len(rows))
    return np.stack([rows[i : i + size].mean(axis=0) for i in range(0, len(rows), size)])


def _block_size(rows: int) -> int:
    """How many of `rows` rows are averaged to one point of a curve."""
    return max(1, -(-rows // POINTS))
