"""What an iteration costs: seconds by method, and relative to MAML (the paper's Figure 3)."""

from collections.abc import Sequence

import numpy as np

from meta_rl.report.curves import Axis, column, point, seconds, seeds_text, shown, table
from meta_rl.report.groups import Group
from meta_rl.report.intervals import over_seeds
from meta_rl.report.model import Chart, Panel, Series
from meta_rl.report.settings import REFERENCE

PARTS: dict[str, Axis] = {
    "sampling": lambda metrics: column(metrics, "time_sampling"),
    "update": lambda metrics: column(metrics, "time_update"),
    "both": seconds,
}
CAPTION = (
    "Median over iterations, then mean over seeds with its 95 % t-interval: sampling (all rollouts with "
    "baseline and advantages), update (inner and outer steps), and both. Times compare only if the runs had "
    "the same machine to themselves."
)
RATIO_CAPTION = (
    "Right: time of an iteration over that of MAML, the ratio of geometric means over seeds; interval: "
    "Welch's t-test of the logarithms."
)


def timing_charts(groups: Sequence[Group]) -> list[Chart]:
    """Bars by method; a second panel with ratios where MAML is among several."""
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
    caption = f"{CAPTION} {RATIO_CAPTION}" if len(panels) > 1 else CAPTION
    return [Chart("timing", "Time of an iteration", caption, tuple(panels))]


def _bars(group: Group, parts: Sequence[tuple[float, float, float]]) -> Series:
    y, low, high = np.transpose(parts)
    note = seeds_text(len(group.metrics))
    return Series(group.method, table(list(PARTS), y, low, high, note), "bars", look=group.method)


def median_seconds(group: Group, part: str = "both") -> np.ndarray:
    """[seeds] median seconds of an iteration."""
    return np.array([np.median(PARTS[part](metrics)) for metrics in group.metrics])


def time_ratio(group: Group, reference: Group, part: str = "both") -> tuple[float, float, float]:
    """Time of an iteration over the reference's, and the ends of its interval, NaN for too few seeds."""
    a, b = (np.log(median_seconds(g, part)) for g in (group, reference))
    difference = over_seeds(lambda a, b: a.mean(axis=0) - b.mean(axis=0), a, b)
    ratio, low, high = np.exp(shown(difference, min(len(a), len(b))))
    return float(ratio), float(low), float(high)
