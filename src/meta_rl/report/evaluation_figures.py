"""Figures of the evaluations: adaptation to unseen tasks, return on each of them, and scores over all."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.figures import RETURN, SCORE, STEPS, published_series
from meta_rl.report.groups import Group
from meta_rl.report.normalisation import STEP, Published, ScoreRange, returns_after
from meta_rl.report.runs import ENDS, REFERENCE
from meta_rl.report.statistics import (
    aggregate,
    mean_interval,
    mean_over_seeds,
    performance_profile,
    probability_of_improvement,
    seeds_text,
)

ADAPTATION_CAPTION = (
    "Mean return on unseen tasks after adapting to each of them, with fresh episodes before each gradient "
    "step. Bands: 95 % t-interval over 3 seeds or more; of a single seed, over tasks. What takes no step is "
    "a level."
)
PUBLISHED_CAPTION = "Grey: published by Finn et al. 2017 with their code, with 95 % t-intervals over tasks."
FEW = 3  # different values of a task parameter that are drawn as categories
TASKS_CAPTION = (
    "After one gradient step. One point a task: mean over seeds, with the 95 % t-interval of 3 or more."
)
THRESHOLDS = 101  # of performance profiles
INTERVALS = "Intervals: 95 % over seeds."


def adaptation_charts(
    groups: Mapping[str, Group], published: Published, score_range: ScoreRange | None
) -> list[Chart]:
    """Returns against gradient steps, and beside them normalised scores if there is a range for them.

    Args:
        groups: By method, the group to show.
        published: Published results to overlay.
        score_range: What normalised scores refer to; None for returns only.

    Returns:
        One chart; none if no run has an evaluation.
    """
    evaluated = [group for group in groups.values() if group.evaluations]
    if not evaluated:
        return []
    last = max(evaluation.steps for group in evaluated for evaluation in group.evaluations)
    panels = []
    for label, scale, theirs in ((RETURN, None, published.returns), (SCORE, score_range, published.scores)):
        if label == RETURN or scale is not None:
            own = tuple(_adaptation(group, scale) for group in evaluated)
            panels.append(Panel("", STEPS, label, own + published_series(theirs, last)))
    alone = published.returns is None and published.scores is None
    caption = ADAPTATION_CAPTION if alone else f"{ADAPTATION_CAPTION} {PUBLISHED_CAPTION}"
    return [Chart("adaptation", "Adaptation to unseen tasks", caption, tuple(panels))]


def _adaptation(group: Group, score_range: ScoreRange | None) -> Series:
    """The mean over seeds and tasks after each gradient step, as returns or as normalised scores."""
    steps = min(evaluation.steps for evaluation in group.evaluations)
    samples = [returns_after(group, step) for step in range(steps + 1)]
    if score_range is not None:
        samples = [score_range.normalise(sample) for sample in samples]
    y, low, high = np.transpose([mean_interval(sample) for sample in samples])
    note = seeds_text(len(samples[0]))
    if len(samples[0]) == 1:
        note += f", interval over {samples[0].shape[1]} tasks"
    data = series_data(np.arange(steps + 1.0), y, low, high, note)
    return Series(group.method, data, "line" if steps else "level", look=group.method)


def scatter_charts(groups: Mapping[str, Group]) -> list[Chart]:
    """One chart of returns after one gradient step, a panel for each method; none without evaluations."""
    evaluated = [group for group in groups.values() if group.evaluations]
    if not evaluated:
        return []
    x, label = task_axis(evaluated[0].evaluations[0].tasks)
    panels = tuple(_panel(group, x, label) for group in evaluated)
    return [Chart("tasks", f"Return on each task against its {label}", TASKS_CAPTION, panels)]


def task_axis(tasks: pd.DataFrame) -> tuple[list[float] | list[str], str]:
    """The x of each task, as numbers or as names of categories, and the label of the x-axis.

    For goals in the plane it is the distance from the start, else the first parameter that varies.
    """
    columns = {name: tasks[name].to_numpy(float) for name in tasks.columns}
    if {"goal_x", "goal_y"} <= set(columns):
        x, y = (columns[f"goal_{axis}"] - columns.get(f"start_{axis}", 0.0) for axis in "xy")
        return np.hypot(x, y).tolist(), "distance of the goal from the start"
    varied = [name for name in columns if len(np.unique(columns[name])) > 1]
    if not varied:
        return list(range(len(tasks))), "task"
    values = columns[varied[0]]
    label = varied[0].replace("_", " ")
    if len(np.unique(values)) <= FEW:
        return [f"{value:g}" for value in values], label
    return values.tolist(), label


def _panel(group: Group, x: list[float] | list[str], label: str) -> Panel:
    sample = returns_after(group, STEP)
    order = np.argsort(np.array(x, float), kind="stable")
    y, low, high = (part[order] for part in mean_over_seeds(sample))
    data = series_data([x[i] for i in order], y, low, high, note=[f"task {i}" for i in order])
    title = f"{group.method}, {seeds_text(len(sample))}"
    series = Series(group.method, data, "points", look=group.method)
    return Panel(title, label, RETURN, (series,), "category" if isinstance(x[0], str) else "linear")


def score_charts(samples: Mapping[str, np.ndarray], normalised: bool) -> list[Chart]:
    """Aggregates, performance profiles and probability of improvement, after one gradient step.

    Random and oracle are left out: as the ends of the range they would squeeze the others to a point.

    Args:
        samples: By method, scores or returns [seeds, tasks].
        normalised: Whether they are normalised scores.

    Returns:
        Charts; none for fewer than two methods.
    """
    samples = {method: sample for method, sample in samples.items() if method not in ENDS}
    if len(samples) < 2:
        return []
    score = "normalised score" if normalised else "return"
    charts = [_aggregates(samples, normalised, score), _profiles(samples, score)]
    return [*charts, _improvement(samples)] if REFERENCE in samples else charts


def _aggregates(samples: Mapping[str, np.ndarray], normalised: bool, score: str) -> Chart:
    rows = aggregate(samples, normalised)
    panels = []
    for metric in dict.fromkeys(rows["metric"]):
        part = rows.query("metric == @metric")
        series = tuple(
            Series(row["method"], _point(row), "points", look=row["method"])
            for row in part.to_dict("records")
        )
        panels.append(Panel("", "", f"{metric} of the {score}", series, scale="category"))
    gap = ", and how far scores fall short of 1 (optimality gap)" if normalised else ""
    caption = (
        f"Of the {score}s of all seeds on unseen tasks, after one gradient step: interquartile mean (IQM), "
        f"mean, median over tasks{gap}. {INTERVALS} Beside the values stands the stratified bootstrap of "
        "Agarwal et al. 2021, which is too narrow where seeds differ on all tasks alike."
    )
    return Chart("aggregates", "Scores over seeds and tasks", caption, tuple(panels))


def _point(row: Mapping[Any, Any]) -> pd.DataFrame:
    low, high = row["stratified_low"], row["stratified_high"]
    bootstrap = f", stratified bootstrap {low:.4g} to {high:.4g}" if high > low else ""
    note = seeds_text(row["seeds"]) + bootstrap
    return series_data([row["method"]], [row["value"]], row["low"], row["high"], note)


def _profiles(samples: Mapping[str, np.ndarray], score: str) -> Chart:
    values = np.concatenate([sample.ravel() for sample in samples.values()])
    thresholds = np.linspace(values.min(), values.max(), THRESHOLDS)
    series = []
    for method, sample in samples.items():
        profile = performance_profile(sample, thresholds)
        data = series_data(thresholds, *profile, note=seeds_text(len(sample)))
        series.append(Series(method, data, look=method))
    caption = (
        f"Which share of all seeds and tasks has a {score} above each threshold, after one gradient step."
    )
    panel = Panel("", f"{score} t", "share of seeds and tasks above t", tuple(series))
    return Chart("profiles", "Performance profiles", f"{caption} Bands: pointwise 95 % over seeds.", (panel,))


def _improvement(samples: Mapping[str, np.ndarray]) -> Chart:
    series = []
    for method, sample in samples.items():
        if method != REFERENCE:
            interval = probability_of_improvement(sample, samples[REFERENCE])
            note = f"{seeds_text(len(sample))} against {len(samples[REFERENCE])}"
            data = series_data([method], *(np.atleast_1d(part) for part in interval), note=note)
            series.append(Series(method, data, "points", look=method))
    caption = (
        f"Probability that a seed of the method scores higher on a task than one of {REFERENCE}, after one "
        f"gradient step, averaged over tasks. It says how often, not by how much. {INTERVALS}"
    )
    label = f"P(method better than {REFERENCE})"
    series.append(
        Series(f"as good as {REFERENCE}", series_data([""], [0.5]), "level", look=REFERENCE, dashed=True)
    )
    panel = Panel("", "", label, tuple(series), scale="category")
    return Chart("improvement", f"Probability of improvement over {REFERENCE}", caption, (panel,))
