"""Figures of the training: learning curves, the second-order term, and the time of an iteration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.report.groups import Factor, Group, alongside
from meta_rl.report.intervals import point, seeds_text
from meta_rl.report.metrics import (
    PARTS,
    Axis,
    block_size,
    curve,
    iterations,
    median_seconds,
    million_steps,
    minutes,
    time_ratio,
)
from meta_rl.report.settings import REFERENCE

RETURN = "mean episode return"
OVER_SEEDS = "Mean over seeds; band: 95 % t-interval over seeds, for 3 or more."
RETURNS = {"return_post": "after adaptation", "return_pre": "before adaptation"}
AXES: dict[str, tuple[Axis, str, str]] = {
    "iterations": (iterations, "iterations", "Against iterations."),
    "steps": (
        million_steps,
        "environment steps (millions)",
        "Against environment steps, those of all phases.",
    ),
    "time": (
        minutes,
        "time (minutes)",
        "Against time_sampling + time_update so far, without starting up, logging and checkpoints. What else "
        "the machine did counts: it slows some seeds, and widens the band.",
    ),
}
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


def learning_charts(groups: Mapping[str, Group], setting: str) -> list[Chart]:
    """Three charts, each with a panel for the returns after and before adaptation.

    Args:
        groups: By method, the group to show.
        setting: A sentence for the captions on the settings of these groups; "" for none.
    """
    trained = [group for group in groups.values() if group.metrics]
    if not trained:
        return []
    charts = []
    for key, (axis, label, sentence) in AXES.items():
        panels = tuple(
            Panel(title, label, RETURN, curves(trained, name, axis)) for name, title in RETURNS.items()
        )
        caption = [
            "Return on the training tasks while meta-learning, before each outer update.",
            sentence,
            OVER_SEEDS,
            averaging(trained),
            setting,
        ]
        title = f"Learning curves against {label.partition(' (')[0]}"
        charts.append(Chart(f"learning_{key}", title, " ".join(filter(None, caption)), panels))
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
    """Relative norm and cosine of the second-order term over the training.

    Args:
        groups: All groups.
        references: The groups to show; if the inner rate is varied, also those that differ only in it.
        factors: The settings that are varied.

    Returns:
        Charts with a panel for each inner rate; none if no run has these metrics.
    """
    rate = next((factor for factor in factors if factor.key == RATE), None)
    shown = [g for centre in references for g in (alongside(groups, centre, [rate]) if rate else [centre])]
    charts = []
    for key, (title, label, bounds, sentence) in SECOND_ORDER.items():
        panels = []
        for value in rate.values if rate else (None,):
            own = [group for group in shown if rate is None or rate.of(group) == value]
            series = tuple(_within(s, *bounds) for s in curves(own, key, iterations))
            if series:
                panels.append(Panel(rate.heading(value) if rate else "", "iterations", label, series))
        if panels:
            charts.append(Chart(key, title, f"{sentence} {SECOND_ORDER_CAPTION} {OVER_SEEDS}", tuple(panels)))
    return charts


def _within(series: Series, least: float, most: float) -> Series:
    """The series with its intervals clipped to the possible values, `least` to `most`."""
    ends = series.data[["low", "high"]].clip(least, most)
    return replace(series, data=series.data.assign(low=ends["low"], high=ends["high"]))


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
