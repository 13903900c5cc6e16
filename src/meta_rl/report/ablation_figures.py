"""Ablations: what a setting does to each method (the panels of the paper's Figures 1 and 2)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.report.groups import Factor, Group, alongside, value_text
from meta_rl.report.normalisation import returns_after
from meta_rl.report.statistics import point, seeds_text
from meta_rl.report.training_figures import (
    LAST,
    OVER_SEEDS,
    RETURN,
    averaging,
    curves,
    final_returns,
    iterations,
    median_seconds,
)


class Response(NamedTuple):
    """A number per run to draw against a factor."""

    suffix: str  # of the chart's key
    title: str  # beginning of the chart's title
    label: str  # of the y-axis
    meaning: str  # a sentence on the number, for the caption
    of: Callable[[Group], np.ndarray]  # from a group to the numbers of its runs [seeds]


EVALUATED = Response(
    "",
    "Final return",
    RETURN,
    "Return on unseen tasks after one gradient step.",
    lambda group: returns_after(group, 1).mean(axis=1),
)
TRAINED_MEANING = f"Return after adaptation on the training tasks, mean of the last {LAST} iterations."
TRAINED = EVALUATED._replace(meaning=TRAINED_MEANING, of=final_returns)
TIME = Response(
    "_time",
    "Time of an iteration",
    "seconds an iteration",
    "Sampling and update together, median over iterations.",
    median_seconds,
)


def ablation_charts(
    groups: Sequence[Group], references: Mapping[str, Group], factors: Sequence[Factor]
) -> list[Chart]:
    """For each factor, learning curves by its value; final return and time of an iteration against it.

    Args:
        groups: All groups.
        references: By method, the group from which a line differs in the factor alone.
        factors: The settings that are varied.

    Returns:
        Three charts for each factor. The final return is on unseen tasks if every run has an evaluation, else
        on the training tasks.
    """
    trained = [group for group in groups if group.metrics]
    complete = all(run.evaluation is not None for group in trained for run in group.runs)
    charts = []
    for factor in factors:
        charts += _curves_by_value(trained, references, factor)
        others = [other for other in factors if other is not factor]
        for response in (EVALUATED if complete else TRAINED, TIME):
            charts += _against(trained, references, factor, others[:1], response)
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
    caption = " ".join(filter(None, [caption, _companions(factor), OVER_SEEDS, averaging(near)]))
    key = f"ablation_{_file_name(factor)}_curves"
    return [Chart(key, f"Learning curves by {factor.name}", caption, tuple(panels))]


def _against(
    groups: Sequence[Group],
    references: Mapping[str, Group],
    factor: Factor,
    other: Sequence[Factor],
    response: Response,
) -> list[Chart]:
    """A response against a factor, in a panel for each value of the `other` one if there is any."""
    near = [g for centre in references.values() for g in alongside(groups, centre, [factor, *other])]
    panels = []
    for value in other[0].values if other else (None,):
        own = [group for group in near if not other or other[0].of(group) == value]
        if len({value_text(factor.of(group)) for group in own}) > 1:
            series = _lines(own, factor, response)
            title = other[0].heading(value) if other else ""
            panels.append(Panel(title, factor.name, response.label, series, "category"))
    if not panels:
        return []
    caption = f"{response.meaning} {OVER_SEEDS} {_companions(factor)}"
    title = f"{response.title} by {factor.name}"
    return [Chart(f"ablation_{_file_name(factor)}{response.suffix}", title, caption, tuple(panels))]


def _lines(groups: Sequence[Group], factor: Factor, response: Response) -> tuple[Series, ...]:
    """A line for each method through the values of the factor."""
    series = []
    for method in dict.fromkeys(group.method for group in groups):
        own = [group for group in groups if group.method == method]
        values = [value_text(factor.of(group)) for group in own]
        samples = [response.of(group) for group in own]
        y, low, high = np.transpose([point(sample) for sample in samples])
        notes = [seeds_text(len(sample)) for sample in samples]
        series.append(Series(method, series_data(values, y, low, high, notes), look=method))
    return tuple(series)


def _companions(factor: Factor) -> str:
    """A sentence on the settings that change together with a factor."""
    with_it = f"With it changes {', '.join(factor.followers)}; all" if factor.followers else "All"
    return f"{with_it} else is as in the other figures."


def _file_name(factor: Factor) -> str:
    """The name of a factor, any key of a configuration, without characters that have a meaning in a path."""
    return re.sub(r"[^\w.+-]+", "_", factor.name)
