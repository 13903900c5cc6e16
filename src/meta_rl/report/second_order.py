"""How large the second-order term of the meta-gradient is, over training."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meta_rl.report.curves import iterations
from meta_rl.report.factors import Factor, alongside
from meta_rl.report.groups import Group
from meta_rl.report.learning import OVER_SEEDS, curves
from meta_rl.report.model import Chart, Panel, Series

MEASURES = {
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
CAPTION = "Both gradients are of the same data; the method says which of them was followed."


def second_order_charts(
    groups: Sequence[Group], references: Sequence[Group], factors: Sequence[Factor]
) -> list[Chart]:
    """Relative norm and cosine against iterations; a panel for each inner rate if it is varied."""
    rate = next((factor for factor in factors if factor.key == RATE), None)
    shown = [g for centre in references for g in (alongside(groups, centre, [rate]) if rate else [centre])]
    charts = []
    for column, (title, label, bounds, sentence) in MEASURES.items():
        panels = []
        for value in rate.values if rate else (None,):
            own = [group for group in shown if rate is None or rate.of(group) == value]
            series = tuple(_within(s, *bounds) for s in curves(own, column, iterations))
            if series:
                panels.append(Panel(rate.heading(value) if rate else "", "iterations", label, series))
        if panels:
            charts.append(Chart(column, title, f"{sentence} {CAPTION} {OVER_SEEDS}", tuple(panels)))
    return charts


def _within(series: Series, least: float, most: float) -> Series:
    """The same with intervals that end where values are possible."""
    ends = series.data[["low", "high"]].clip(least, most)
    return replace(series, data=series.data.assign(low=ends["low"], high=ends["high"]))
