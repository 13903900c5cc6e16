"""Returns on unseen tasks against gradient steps (the paper's Figures 4, 5 and 6)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from meta_rl.charts.plotting import NAMES
from meta_rl.evaluation.statistics import t_quantile
from meta_rl.report.curves import point, seeds_text, table
from meta_rl.report.groups import Group
from meta_rl.report.model import Chart, Panel, Series
from meta_rl.report.published import Published
from meta_rl.report.scale import Scale, returns
from meta_rl.report.scores import normalise

X = "gradient steps"
CAPTION = (
    "Mean return on unseen tasks after adapting to each of them, with fresh episodes before each gradient "
    "step. Bands: 95 % t-interval over 3 seeds or more; of a single seed, over tasks. What takes no step is "
    "a level."
)
PUBLISHED = "Grey: published by Finn et al. 2017 with their code, with 95 % t-intervals over tasks."


def adaptation_charts(groups: Mapping[str, Group], published: Published, scale: Scale | None) -> list[Chart]:
    """One chart: returns, and beside them normalised scores where there is a scale."""
    evaluated = [group for group in groups.values() if group.evaluations]
    if not evaluated:
        return []
    last = max(evaluation.steps for group in evaluated for evaluation in group.evaluations)
    own = tuple(series(group) for group in evaluated)
    panels = [Panel("", X, "mean episode return", own + overlay(published.returns, last))]
    if scale is not None:
        scored = tuple(series(group, scale) for group in evaluated)
        label = "normalised score (random 0, oracle 1)"
        panels.append(Panel("", X, label, scored + overlay(published.scores, last)))
    caption = CAPTION if published.returns is None and published.scores is None else f"{CAPTION} {PUBLISHED}"
    return [Chart("adaptation", "Adaptation to unseen tasks", caption, tuple(panels))]


def series(group: Group, scale: Scale | None = None) -> Series:
    """Mean over seeds and tasks after each gradient step, as returns or as scores."""
    steps = min(evaluation.steps for evaluation in group.evaluations)
    samples = [returns(group, step) for step in range(steps + 1)]
    if scale is not None:
        samples = [normalise(sample, scale.random, scale.oracle) for sample in samples]
    y, low, high = np.transpose([mean_interval(sample) for sample in samples])
    note = seeds_text(len(samples[0]))
    if len(samples[0]) == 1:
        note += f", interval over {samples[0].shape[1]} tasks"
    data = table(np.arange(steps + 1.0), y, low, high, note)
    return Series(group.method, data, "line" if steps else "level", look=group.method)


def mean_interval(sample: np.ndarray) -> tuple[float, float, float]:
    """Mean of [seeds, tasks] with its interval over seeds, or of a single seed over tasks."""
    return point((sample if len(sample) > 1 else sample.T).mean(axis=1))


def overlay(published: pd.DataFrame | None, last: int) -> tuple[Series, ...]:
    """Published curves up to the last gradient step of the panel."""
    if published is None:
        return ()
    rows = published[published["gradient_steps"] <= last]
    methods = sorted(set(rows["method"]))
    return tuple(_published(method, rows.query("method == @method")) for method in methods)


def _published(method: str, rows: pd.DataFrame) -> Series:
    half_width = rows["standard_error"] * t_quantile(rows["tasks"].to_numpy() - 1)
    y = rows["mean_return"]
    x = rows["gradient_steps"].astype(float)
    data = table(x, y, y - half_width, y + half_width, "published")
    name = f"{NAMES.get(method, method)}, published"
    kind = "level" if method == "oracle" else "line"
    return Series(name, data, kind, look=f"published {method}")
