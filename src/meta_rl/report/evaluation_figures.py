"""Figures of the evaluations: adaptation to unseen tasks, and the return on each of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.figures import RETURN, SCORE, STEPS, published_series
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.evaluation.statistics import mean_of_tasks, mean_over_seeds, seeds_text
from meta_rl.report.groups import Group
from meta_rl.report.normalisation import STEP, Published

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


def adaptation_charts(
    chosen: Mapping[str, Group], published: Published, score_range: ScoreRange | None
) -> list[Chart]:
    """Returns against gradient steps, and beside them normalised scores if there is a range for them.

    Args:
        chosen: By method, the group to show.
        published: Published results to overlay.
        score_range: What normalised scores refer to; None for returns only.

    Returns:
        One chart; none if no run has an evaluation.
    """
    evaluated = [group for group in chosen.values() if group.evaluations]
    if not evaluated:
        return []
    last = max(evaluation.steps for group in evaluated for evaluation in group.evaluations)
    own = tuple(_adaptation(group, None) for group in evaluated)
    panels = [Panel("", STEPS, RETURN, own + published_series(published.returns, last))]
    if score_range is not None:
        own = tuple(_adaptation(group, score_range) for group in evaluated)
        panels.append(Panel("", STEPS, SCORE, own + published_series(published.scores, last)))
    alone = published.returns is None and published.scores is None
    caption = ADAPTATION_CAPTION if alone else f"{ADAPTATION_CAPTION} {PUBLISHED_CAPTION}"
    return [Chart("adaptation", "Adaptation to unseen tasks", caption, tuple(panels))]


def _adaptation(group: Group, score_range: ScoreRange | None) -> Series:
    """The mean over seeds and tasks after each gradient step, as returns or as normalised scores."""
    steps = range(group.steps + 1)
    sample = np.stack([group.returns_after(step) for step in steps], axis=-1)
    if score_range is not None:
        sample = score_range.normalise(sample)
    seeds, tasks = sample.shape[:2]
    note = seeds_text(seeds) + (f", interval over {tasks} tasks" if seeds == 1 else "")
    data = series_data(np.array(steps, float), *mean_of_tasks(sample), note=note)
    return Series(group.method, data, "line" if group.steps else "level")


def task_charts(chosen: Mapping[str, Group]) -> list[Chart]:
    """One chart of returns after one gradient step, a panel for each method; none without evaluations."""
    evaluated = [group for group in chosen.values() if group.evaluations]
    if not evaluated:
        return []
    x, label = task_axis(evaluated[0].evaluations[0].tasks)
    panels = tuple(_tasks(group, x, label) for group in evaluated)
    return [Chart("tasks", f"Return on each task against its {label}", TASKS_CAPTION, panels)]


def task_axis(tasks: pd.DataFrame) -> tuple[np.ndarray, str]:
    """The x of each task, numbers or names of categories, and the label of the x-axis.

    For goals in the plane it is the distance from the start, else the first parameter that varies.
    """
    columns = {name: tasks[name].to_numpy(float) for name in tasks}
    if {"goal_x", "goal_y"} <= set(columns):
        x, y = (columns[f"goal_{axis}"] - columns.get(f"start_{axis}", 0.0) for axis in "xy")
        return np.hypot(x, y), "distance of the goal from the start"
    varied = [name for name, values in columns.items() if len(np.unique(values)) > 1]
    if not varied:
        return np.arange(len(tasks)), "task"
    values, label = columns[varied[0]], str(varied[0]).replace("_", " ")
    return (values if len(np.unique(values)) > FEW else np.array([f"{value:g}" for value in values])), label


def _tasks(group: Group, x: np.ndarray, label: str) -> Panel:
    """The returns of a group on the tasks, ordered by x."""
    sample = group.returns_after(STEP)
    notes = [f"task {i}" for i in range(len(x))]
    data = series_data(x, *mean_over_seeds(sample), note=notes)
    data = data.sort_values("x", key=lambda x: x.astype(float), kind="stable", ignore_index=True)
    title = f"{group.method}, {seeds_text(len(sample))}"
    scale = "category" if x.dtype.kind == "U" else "linear"
    return Panel(title, label, RETURN, (Series(group.method, data, "points"),), scale)
