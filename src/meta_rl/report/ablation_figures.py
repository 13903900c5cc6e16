"""Ablations: what a setting does to each method (the panels of the paper's Figures 1 and 2)."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.figures import RETURN
from meta_rl.evaluation.statistics import mean_over_seeds, seeds_text
from meta_rl.report.groups import Factor, Group, alongside, by_value, value_text
from meta_rl.report.training_figures import OVER_SEEDS, averaging, curves

LAST = 10  # iterations whose mean is the final return
EVALUATED = "Return on unseen tasks after one gradient step."
TRAINED = f"Return after adaptation on the training tasks, mean of the last {LAST} iterations."
CURVES = "Return after adaptation on the training tasks, for each {}."
ELSE = "All else is as in the other figures."


def ablation_charts(
    groups: Sequence[Group], chosen: Mapping[str, Group], factors: Sequence[Factor]
) -> list[Chart]:
    """For each factor, learning curves by its value, and the final return against it.

    Args:
        groups: All groups.
        chosen: By method, the group from which a line differs in the factor alone.
        factors: The settings that are varied.
    """
    trained = [group for group in groups if group.metrics]
    charts = []
    for factor in factors:
        near = alongside(trained, chosen, factors, [factor])
        other = next((other for other in factors if other is not factor), None)
        more = alongside(trained, chosen, factors, [factor, other]) if other else near
        charts += [*_curves(near, factor), *_final(more, factor, other)]
    return charts


def final_returns(group: Group) -> np.ndarray:
    """The return after adaptation at the end of the training [seeds]: the mean of the last iterations."""
    return np.array([metrics["return_post"].iloc[-LAST:].mean() for metrics in group.metrics])


def _curves(groups: Sequence[Group], factor: Factor) -> list[Chart]:
    panels = [
        Panel(heading, "iterations", RETURN, curves(own, "return_post"))
        for heading, own in by_value(groups, factor).items()
    ]
    if len(panels) < 2:
        return []
    caption = " ".join(filter(None, [CURVES.format(factor.name), ELSE, OVER_SEEDS, averaging(groups)]))
    title = f"Learning curves by {factor.name}"
    return [Chart(f"ablation_{_file_name(factor)}_curves", title, caption, tuple(panels))]


def _final(groups: Sequence[Group], factor: Factor, other: Factor | None) -> list[Chart]:
    """The final return against a factor, in a panel for each value of the `other` one if there is any.

    It is that on unseen tasks if every run has an evaluation, else that on the training tasks.
    """
    evaluated = all(run.evaluation is not None for group in groups for run in group.runs)
    panels = []
    for heading, own in by_value(groups, other).items():
        if len(by_value(own, factor)) > 1:
            methods = dict.fromkeys(group.method for group in own)
            lines = [_line([group for group in own if group.method == m], factor, evaluated) for m in methods]
            panels.append(Panel(heading, factor.name, RETURN, tuple(lines), "category"))
    if not panels:
        return []
    caption = f"{EVALUATED if evaluated else TRAINED} {OVER_SEEDS} {ELSE}"
    title = f"Final return by {factor.name}"
    return [Chart(f"ablation_{_file_name(factor)}", title, caption, tuple(panels))]


def _line(groups: Sequence[Group], factor: Factor, evaluated: bool) -> Series:
    """The final return of one method through the values of the factor."""
    samples = [g.returns_after(1).mean(axis=1) if evaluated else final_returns(g) for g in groups]
    y, low, high = np.transpose([mean_over_seeds(sample) for sample in samples])
    values = [value_text(factor.of(group)) for group in groups]
    notes = [seeds_text(len(sample)) for sample in samples]
    return Series(groups[0].method, series_data(values, y, low, high, notes))


def _file_name(factor: Factor) -> str:
    """The name of a factor, any key of a configuration, without characters that have a meaning in a path."""
    return re.sub(r"[^\w.+-]+", "_", factor.name)
