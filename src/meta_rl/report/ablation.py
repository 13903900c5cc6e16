"""Ablations: what a setting does to each method (the panels of the paper's Figures 1 and 2)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from meta_rl.report.curves import column, iterations, point, seeds_text, table
from meta_rl.report.factors import Factor, alongside
from meta_rl.report.groups import Group
from meta_rl.report.learning import OVER_SEEDS, RETURN, averaging, curves
from meta_rl.report.model import Chart, Panel, Series
from meta_rl.report.settings import as_text
from meta_rl.report.timing import median_seconds

LAST = 10  # iterations that make the final return of a training


@dataclass(frozen=True)
class Outcome:
    """A number a run, to show against a factor.

    Attributes:
        suffix: Of the chart's key.
        title: Begins the chart's title.
        label: Of the y-axis.
        meaning: A sentence on what the number is.
        of: From a group to its runs' numbers.
    """

    suffix: str
    title: str
    label: str
    meaning: str
    of: Callable[[Group], Sequence[float]]


EVALUATED = Outcome(
    "",
    "Final return",
    RETURN,
    "Return on unseen tasks after one gradient step.",
    lambda group: [float(evaluation.after(1).mean()) for evaluation in group.evaluations],
)
TRAINED = Outcome(
    "",
    "Final return",
    RETURN,
    f"Return after adaptation on the training tasks, mean of the last {LAST} iterations.",
    lambda group: [float(column(metrics, "return_post")[-LAST:].mean()) for metrics in group.metrics],
)
TIME = Outcome(
    "_time",
    "Time of an iteration",
    "seconds an iteration",
    "Sampling and update together, median over iterations.",
    lambda group: median_seconds(group).tolist(),
)


def ablation_charts(
    groups: Sequence[Group], references: Mapping[str, Group], factors: Sequence[Factor]
) -> list[Chart]:
    """For each factor, learning curves by its value; final return and time of an iteration against it.

    The final return is that of the evaluations if every run has one.
    """
    trained = [group for group in groups if group.metrics]
    complete = all(run.evaluation is not None for group in trained for run in group.runs)
    charts = []
    for factor in factors:
        charts += _curves_by_value(trained, references, factor)
        others = [other for other in factors if other is not factor]
        for outcome in (EVALUATED if complete else TRAINED, TIME):
            charts += _against(trained, references, factor, others[:1], outcome)
    return charts


def _curves_by_value(groups: Sequence[Group], references: Mapping[str, Group], factor: Factor) -> list[Chart]:
    near = [g for centre in references.values() for g in alongside(groups, centre, [factor])]
    panels = []
    for value in factor.values:
        own = [group for group in near if factor.of(group) == value]
        if own:
            series = curves(own, "return_post", iterations)
            panels.append(Panel(factor.heading(value), "iterations", RETURN, series))
    if len(panels) < 2:
        return []
    caption = f"Return after adaptation on the training tasks, for each {factor.name}."
    caption = " ".join(filter(None, [caption, companions(factor), OVER_SEEDS, averaging(near)]))
    return [
        Chart(
            f"ablation_{_file_name(factor)}_curves",
            f"Learning curves by {factor.name}",
            caption,
            tuple(panels),
        )
    ]


def _against(
    groups: Sequence[Group],
    references: Mapping[str, Group],
    factor: Factor,
    other: Sequence[Factor],
    outcome: Outcome,
) -> list[Chart]:
    """An outcome against one factor, in a panel for each value of another one if there is one."""
    near = [g for centre in references.values() for g in alongside(groups, centre, [factor, *other])]
    panels = []
    for value in other[0].values if other else (None,):
        own = [group for group in near if not other or other[0].of(group) == value]
        if len({as_text(factor.of(group)) for group in own}) > 1:
            series = _lines(own, factor, outcome)
            title = other[0].heading(value) if other else ""
            panels.append(Panel(title, factor.name, outcome.label, series, "category"))
    if not panels:
        return []
    caption = f"{outcome.meaning} {OVER_SEEDS} {companions(factor)}"
    title = f"{outcome.title} by {factor.name}"
    return [Chart(f"ablation_{_file_name(factor)}{outcome.suffix}", title, caption, tuple(panels))]


def _lines(groups: Sequence[Group], factor: Factor, outcome: Outcome) -> tuple[Series, ...]:
    """A line for each method through the values of the factor."""
    series = []
    for method in dict.fromkeys(group.method for group in groups):
        own = [group for group in groups if group.method == method]
        values = [factor.of(group) for group in own]
        samples = [outcome.of(group) for group in own]
        y, low, high = np.transpose([point(sample) for sample in samples])
        notes = [seeds_text(len(sample)) for sample in samples]
        series.append(Series(method, table(list(map(as_text, values)), y, low, high, notes), look=method))
    return tuple(series)


def companions(factor: Factor) -> str:
    """A sentence on what else changes with a factor."""
    with_it = f"With it changes {', '.join(factor.followers)}; all" if factor.followers else "All"
    return f"{with_it} else is as in the other figures."


def _file_name(factor: Factor) -> str:
    """Its name, which is a key of a run's configuration, without what means something in a path."""
    return re.sub(r"[^\w.+-]+", "_", factor.name)
