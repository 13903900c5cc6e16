"""The return on each unseen task against what the task asks for."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from meta_rl.report.curves import mean_over_seeds, seeds_text, table
from meta_rl.report.groups import Group
from meta_rl.report.learning import RETURN
from meta_rl.report.model import Chart, Panel, Series
from meta_rl.report.scale import STEP, returns

FEW = 3  # different values of a parameter that are categories rather than a scale
CAPTION = "After one gradient step. One point a task: mean over seeds, with the 95 % t-interval of 3 or more."


def scatter_charts(groups: Mapping[str, Group]) -> list[Chart]:
    """A panel for each method; policies that take no gradient step are shown as they are."""
    evaluated = [group for group in groups.values() if group.evaluations]
    if not evaluated:
        return []
    x, label = task_axis(evaluated[0].evaluations[0].tasks)
    panels = tuple(_panel(group, x, label) for group in evaluated)
    return [Chart("tasks", f"Return on each task against its {label}", CAPTION, panels)]


def task_axis(tasks: pd.DataFrame) -> tuple[list[float] | list[str], str]:
    """What tells tasks apart, as numbers or as names of categories, and what it is called.

    The distance from the start for goals in the plane; else the first parameter that varies.
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
    sample = returns(group, STEP)
    order = np.argsort(np.array(x, float), kind="stable")
    y, low, high = (part[order] for part in mean_over_seeds(sample))
    data = table([x[i] for i in order], y, low, high, note=[f"task {i}" for i in order])
    title = f"{group.method}, {seeds_text(len(sample))}"
    series = Series(group.method, data, "points", look=group.method)
    scale = "category" if isinstance(x[0], str) else "linear"
    return Panel(title, label, RETURN, (series,), scale)
