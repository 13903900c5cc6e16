"""Figures of scores over seeds and tasks: aggregates, performance profiles, probability of improvement."""

from collections.abc import Mapping

import numpy as np

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.evaluation.equivalence import REFERENCE
from meta_rl.evaluation.scores import ENDS
from meta_rl.evaluation.statistics import (
    Interval,
    iqm,
    mean,
    median,
    optimality_gap,
    over_seeds,
    performance_profile,
    probability_of_improvement,
    seeds_text,
)

THRESHOLDS = 101  # of performance profiles
AFTER = "after one gradient step"
INTERVALS = "Intervals: 95 % over seeds."
MEASURES = {"IQM": iqm, "mean": mean, "median": median, "optimality gap": optimality_gap}
AGGREGATES = (
    f"Of the normalised scores of all seeds on unseen tasks, {AFTER}: interquartile mean (IQM), mean, median "
    f"over tasks, and how far scores fall short of 1 (optimality gap). {INTERVALS}"
)


def score_charts(samples: Mapping[str, np.ndarray]) -> list[Chart]:
    """Aggregates, performance profiles and probability of improvement, after one gradient step.

    Random and oracle are left out: as the ends of the range they would squeeze the others to a point.

    Args:
        samples: By method, normalised scores [seeds, tasks].

    Returns:
        Charts; none for fewer than two methods.
    """
    samples = {method: sample for method, sample in samples.items() if method not in ENDS}
    if len(samples) < 2:
        return []
    charts = [_aggregates(samples), _profiles(samples)]
    return [*charts, _improvement(samples)] if REFERENCE in samples else charts


def _aggregates(samples: Mapping[str, np.ndarray]) -> Chart:
    panels = []
    for name, measure in MEASURES.items():
        found = {method: over_seeds(measure, sample) for method, sample in samples.items()}
        points = tuple(_point(method, found[method], seeds_text(len(samples[method]))) for method in found)
        panels.append(Panel("", "", f"{name} of the normalised score", points, "category"))
    return Chart("aggregates", "Scores over seeds and tasks", AGGREGATES, tuple(panels))


def _profiles(samples: Mapping[str, np.ndarray]) -> Chart:
    values = np.concatenate([sample.ravel() for sample in samples.values()])
    thresholds = np.linspace(values.min(), values.max(), THRESHOLDS)
    series = []
    for method, sample in samples.items():
        profile = performance_profile(sample, thresholds)
        series.append(Series(method, series_data(thresholds, *profile, note=seeds_text(len(sample)))))
    caption = (
        f"Which share of all seeds and tasks has a normalised score above each threshold, {AFTER}. "
        "Bands: pointwise 95 % over seeds."
    )
    panel = Panel("", "normalised score t", "share of seeds and tasks above t", tuple(series))
    return Chart("profiles", "Performance profiles", caption, (panel,))


def _improvement(samples: Mapping[str, np.ndarray]) -> Chart:
    reference = samples[REFERENCE]
    series = [Series(REFERENCE, series_data([""], [0.5]), "level")]
    for method, sample in samples.items():
        if method != REFERENCE:
            note = f"{seeds_text(len(sample))} against {len(reference)}"
            series.append(_point(method, probability_of_improvement(sample, reference), note))
    caption = (
        f"Probability that a seed of the method scores higher on a task than one of {REFERENCE}, {AFTER}, "
        f"averaged over tasks; line: {REFERENCE} itself. It says how often, not by how much. {INTERVALS}"
    )
    panel = Panel("", "", f"P(method better than {REFERENCE})", tuple(series), "category")
    return Chart("improvement", f"Probability of improvement over {REFERENCE}", caption, (panel,))


def _point(method: str, interval: Interval, note: str) -> Series:
    return Series(method, series_data([method], *interval, note=note), "points")
