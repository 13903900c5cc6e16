"""The numbers of training runs, and their figures: learning curves, second-order term, time."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.report.groups import Factor, Group, alongside
from meta_rl.report.runs import REFERENCE
from meta_rl.report.statistics import mean_over_seeds, over_seeds, point, seeds_text, shown

Axis = Callable[[pd.DataFrame], np.ndarray]  # from the table of metrics.csv to the x of its rows
POINTS = 200  # on a curve at most: more than a figure resolves
LAST = 10  # iterations whose mean is the final return
RETURN = "mean episode return"
OVER_SEEDS = "Mean over seeds; band: 95 % t-interval over seeds, for 3 or more."
RETURNS = {"return_post": "after adaptation", "return_pre": "before adaptation"}
LEARNING = "Return on the training tasks while meta-learning, before each outer update."
SECOND_ORDER = {
    "second_order_norm": (
        "Relative size of the second-order term",
        "|g_MAML - g_FOMAML| / |g_MAML|",
        (0.0, np.inf),
        "Norm of what the first-order approximation leaves out of the meta-gradient, over the whole's norm.",
    ),
    "second_order_cosine": (
        "Direction of the meta-gradient with and without the second-order term",
        "cosine",
        (-1.0, 1.0),
        "Cosine between the meta-gradient and its first-order approximation.",
    ),
}
RATE = "model.inner_lr"
SECOND_ORDER_CAPTION = "Both gradients are of the same data; the method says which of them was followed."
TIMING_CAPTION = (
    "Median over iterations, then mean over seeds with its 95 % t-interval: sampling (all rollouts with "
    "baseline and advantages), update (inner and outer steps), and both. Times compare only if the runs had "
    "the same machine to themselves."
)
RATIO_CAPTION = (
    "Right: time of an iteration over that of MAML, the ratio of geometric means over seeds; interval: "
    "Welch's t-test of the logarithms."
)


def column(metrics: pd.DataFrame, name: str) -> np.ndarray:
    """A column of metrics.csv as numbers [iterations]: NaN where it is empty or missing."""
    return metrics[name].to_numpy(float) if name in metrics.columns else np.full(len(metrics), np.nan)


def iterations(metrics: pd.DataFrame) -> np.ndarray:
    """The meta-iterations done [iterations]."""
    return column(metrics, "step")


def seconds(metrics: pd.DataFrame) -> np.ndarray:
    """The time of sampling and update of each iteration [iterations], in seconds."""
    return column(metrics, "time_sampling") + column(metrics, "time_update")


AXES: dict[str, tuple[Axis, str, str]] = {
    "iterations": (iterations, "iterations", "Against iterations."),
    "steps": (
        lambda metrics: column(metrics, "env_steps") / 1e6,
        "environment steps (millions)",
        "Against environment steps, those of all phases.",
    ),
    "time": (
        lambda metrics: seconds(metrics).cumsum() / 60,
        "time (minutes)",
        "Against time_sampling + time_update so far, without starting up, logging and checkpoints. What else "
        "the machine did counts: it slows some seeds, and widens the band.",
    ),
}
PARTS: dict[str, Axis] = {
    "sampling": lambda metrics: column(metrics, "time_sampling"),
    "update": lambda metrics: column(metrics, "time_update"),
    "both": seconds,
}


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
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    starts = np.arange(0, len(y), block_size(len(y)))
    if not len(starts):
        return x, y
    lengths = np.diff(np.append(starts, len(y)))
    return np.add.reduceat(x, starts) / lengths, np.add.reduceat(y, starts) / lengths


def final_returns(group: Group) -> np.ndarray:
    """The return after adaptation at the end of the training [seeds]: the mean of the last iterations."""
    return np.array([column(metrics, "return_post")[-LAST:].mean() for metrics in group.metrics])


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


def learning_charts(groups: Mapping[str, Group], setting: str) -> list[Chart]:
    """Three charts, each with a panel for the returns after and before adaptation.

    Args:
        groups: By method, the group to show.
        setting: A sentence for the captions on the settings of these groups; "" for none.
    """
    trained = [group for group in groups.values() if group.metrics]
    charts = []
    for key, (axis, label, sentence) in AXES.items() if trained else ():
        panels = tuple(
            Panel(title, label, RETURN, curves(trained, name, axis)) for name, title in RETURNS.items()
        )
        caption = " ".join(filter(None, [LEARNING, sentence, OVER_SEEDS, averaging(trained), setting]))
        title = f"Learning curves against {label.partition(' (')[0]}"
        charts.append(Chart(f"learning_{key}", title, caption, panels))
    return charts


def curves(groups: Iterable[Group], name: str, axis: Axis) -> tuple[Series, ...]:
    """For each group that has the metric `name`, its curve against `axis` under the name of its method."""
    found = ((group, curve(group.metrics, name, axis)) for group in groups)
    return tuple(Series(group.method, data, look=group.method) for group, data in found if data is not None)


def averaging(groups: Sequence[Group]) -> str:
    """A sentence on how many iterations are averaged to one point; "" if there is nothing to average."""
    size = block_size(max(len(metrics) for group in groups for metrics in group.metrics))
    return f"Each point averages up to {size} iterations." if size > 1 else ""


def second_order_charts(
    groups: Sequence[Group], references: Sequence[Group], factors: Sequence[Factor]
) -> list[Chart]:
    """Relative norm and cosine of the second-order term over the training, a panel for each inner rate.

    Args:
        groups: All groups.
        references: The groups to show; if the inner rate is varied, also those that differ only in it.
        factors: The settings that are varied.
    """
    rate = next((factor for factor in factors if factor.key == RATE), None)
    shown = [g for centre in references for g in (alongside(groups, centre, [rate]) if rate else [centre])]
    charts = []
    for key, (title, label, bounds, sentence) in SECOND_ORDER.items():
        panels = []
        for value in rate.values if rate else (None,):
            series = curves([g for g in shown if rate is None or rate.of(g) == value], key, iterations)
            for ends in (one.data for one in series):
                ends[["low", "high"]] = ends[["low", "high"]].clip(*bounds)  # to possible values
            if series:
                panels.append(Panel(rate.heading(value) if rate else "", "iterations", label, series))
        if panels:
            charts.append(Chart(key, title, f"{sentence} {SECOND_ORDER_CAPTION} {OVER_SEEDS}", tuple(panels)))
    return charts


def timing_charts(groups: Sequence[Group]) -> list[Chart]:
    """Seconds of an iteration by method; beside them the ratios to MAML, if MAML is among several methods."""
    trained = [group for group in groups if group.metrics]
    if not trained:
        return []
    bars = tuple(_bars(group, [point(median_seconds(group, part)) for part in PARTS]) for group in trained)
    panels = [Panel("", "", "seconds an iteration", bars, scale="category")]
    reference = next((group for group in trained if group.method == REFERENCE), None)
    others = [group for group in trained if group is not reference]
    if reference is not None and others:
        ratios = (_bars(group, [time_ratio(group, reference, part) for part in PARTS]) for group in others)
        panels.append(Panel("", "", f"time relative to {REFERENCE}", tuple(ratios), scale="category"))
    caption = f"{TIMING_CAPTION} {RATIO_CAPTION}" if len(panels) > 1 else TIMING_CAPTION
    return [Chart("timing", "Time of an iteration", caption, tuple(panels))]


def _bars(group: Group, parts: Sequence[tuple[float, float, float]]) -> Series:
    y, low, high = np.transpose(parts)
    note = seeds_text(len(group.metrics))
    return Series(group.method, series_data(list(PARTS), y, low, high, note), "bars", look=group.method)
