"""The time of an iteration: seconds of its parts, and how many times MAML's."""

from collections.abc import Mapping

import numpy as np

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.equivalence import REFERENCE
from meta_rl.evaluation.statistics import Interval, mean_over_seeds, over_seeds, seeds_text, shown
from meta_rl.report.groups import Group

PARTS = {"sampling": "time_sampling", "update": "time_update", "both": "seconds"}  # columns of metrics.csv
CAPTION = (
    "Median over iterations, then mean over seeds with its 95 % t-interval: sampling (all rollouts with "
    "baseline and advantages), update (inner and outer steps), and both. Times compare only if the runs had "
    "the same machine to themselves."
)
RATIO_CAPTION = (
    "Right: time of an iteration over that of MAML, the ratio of geometric means over seeds; interval: "
    "Welch's t-test of the logarithms."
)


def median_seconds(group: Group) -> np.ndarray:
    """The median time of an iteration's parts [seeds, parts], in seconds."""
    return np.stack([metrics[list(PARTS.values())].median().to_numpy() for metrics in group.metrics])


def time_ratio(group: Group, reference: Group) -> Interval:
    """The time of an iteration's parts over the reference's [parts].

    It is the ratio of geometric means over seeds, with Welch's interval for the logarithms.
    """
    a, b = (np.log(median_seconds(one)) for one in (group, reference))
    difference = shown(over_seeds(lambda a, b: a.mean(axis=0) - b.mean(axis=0), a, b), min(len(a), len(b)))
    return Interval(*np.exp(difference))


def timing_charts(chosen: Mapping[str, Group]) -> list[Chart]:
    """Seconds of an iteration by method; beside them the ratios to MAML, if MAML is among several methods.

    Args:
        chosen: By method, the group to show.
    """
    trained = {method: group for method, group in chosen.items() if group.metrics}
    if not trained:
        return []
    seconds = [_bars(group, mean_over_seeds(median_seconds(group))) for group in trained.values()]
    panels, caption = [Panel("", "", "seconds an iteration", tuple(seconds), "category")], CAPTION
    reference = trained.pop(REFERENCE, None)
    if reference is not None and trained:
        ratios = [_bars(group, time_ratio(group, reference)) for group in trained.values()]
        panels.append(Panel("", "", f"time relative to {REFERENCE}", tuple(ratios), "category"))
        caption = f"{CAPTION} {RATIO_CAPTION}"
    return [Chart("timing", "Time of an iteration", caption, tuple(panels))]


def _bars(group: Group, parts: Interval) -> Series:
    data = series_data(list(PARTS), *parts, note=seeds_text(len(group.metrics)))
    return Series(group.method, data, "bars")
