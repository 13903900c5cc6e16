"""Scores over all seeds and tasks: aggregates, performance profiles, probability of improvement."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.report.curves import seeds_text, table
from meta_rl.report.model import Chart, Panel, Series
from meta_rl.report.scores import aggregate, performance_profiles, probability_of_improvement
from meta_rl.report.settings import ENDS, REFERENCE

THRESHOLDS = 101
INTERVALS = "Intervals: 95 % over seeds."


def score_charts(samples: Mapping[str, np.ndarray], normalised: bool) -> list[Chart]:
    """Charts on the scores [seeds, tasks] after one gradient step of two methods or more.

    Random and oracle are left out: they are the ends of the scale, and the others would shrink to a point.
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
    return table([row["method"]], [row["value"]], row["low"], row["high"], note)


def _profiles(samples: Mapping[str, np.ndarray], score: str) -> Chart:
    values = np.concatenate([sample.ravel() for sample in samples.values()])
    rows = performance_profiles(samples, np.linspace(values.min(), values.max(), THRESHOLDS))
    series = []
    for method, part in rows.groupby("method", sort=False):
        note = seeds_text(len(samples[str(method)]))
        data = table(part["threshold"], part["fraction"], part["low"], part["high"], note)
        series.append(Series(str(method), data, look=str(method)))
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
            data = table([method], *(np.atleast_1d(part) for part in interval), note=note)
            series.append(Series(method, data, "points", look=method))
    caption = (
        f"Probability that a seed of the method scores higher on a task than one of {REFERENCE}, after one "
        f"gradient step, averaged over tasks. It says how often, not by how much. {INTERVALS}"
    )
    label = f"P(method better than {REFERENCE})"
    series.append(Series(f"as good as {REFERENCE}", table([""], [0.5]), "level", look=REFERENCE, dashed=True))
    panel = Panel("", "", label, tuple(series), scale="category")
    return Chart("improvement", f"Probability of improvement over {REFERENCE}", caption, (panel,))
