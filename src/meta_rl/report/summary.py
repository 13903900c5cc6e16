"""The summary table: one row for each method and setting."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from meta_rl.report.ablation import LAST
from meta_rl.report.adaptation import mean_interval
from meta_rl.report.curves import column, point, seconds
from meta_rl.report.groups import Group
from meta_rl.report.scale import STEP, Scale, returns
from meta_rl.report.scores import iqm, normalise
from meta_rl.report.settings import REFERENCE
from meta_rl.report.timing import median_seconds


def summary_table(groups: Sequence[Group], scale: Scale | None, words: Mapping[str, str]) -> pd.DataFrame:
    """Cells are texts, empty where a number is not known; columns without any are left out.

    Args:
        groups: All of them.
        scale: Of normalised scores.
        words: Verdicts by the labels of the groups.
    """
    steps = range(1 + max((_steps(group) for group in groups), default=-1))
    rows = []
    for group in groups:
        row = {"method": group.label, "seeds": str(len(group.runs)), **_training(group)}
        own = _steps(group)
        for step in steps:
            cell = _mean(returns(group, step)) if step <= own else ""
            row[f"return, {step} step{'' if step == 1 else 's'}"] = cell
        if scale is not None and own >= 0:
            sample = normalise(returns(group, STEP), scale.random, scale.oracle)
            row[f"score, {STEP} step (IQM)"] = f"{iqm(sample):.3f}"
        row[f"beside {REFERENCE}"] = words.get(group.label, "")
        rows.append(row)
    table = pd.DataFrame(rows).fillna("").astype(str)
    filled = [name for name in table.columns if table[name].to_list() != [""] * len(table)]
    return table.filter(items=filled)


def _steps(group: Group) -> int:
    """Gradient steps of the evaluations, -1 if there are none."""
    return min((evaluation.steps for evaluation in group.evaluations), default=-1)


def _training(group: Group) -> dict[str, str]:
    """Iterations, environment steps and time of the trainings; means over seeds."""
    trained = group.metrics
    if not trained:
        return {}
    steps = np.mean([metrics["env_steps"].iloc[-1] for metrics in trained])
    last = [column(metrics, "return_post")[-LAST:].mean() for metrics in trained]
    time = np.mean([seconds(metrics).sum() for metrics in trained])
    return {
        "iterations": str(group.runs[0].iterations),
        "million env steps": f"{steps / 1e6:.3g}",
        "minutes": f"{time / 60:.3g}",
        "s/iteration": f"{median_seconds(group).mean():.3g}",
        "return while training": _cell(*point(last)),
    }


def _mean(sample: np.ndarray) -> str:
    return _cell(*mean_interval(sample))


def _cell(y: float, low: float, high: float) -> str:
    digits = 2 if abs(y) < 100 else 1
    half = (high - low) / 2
    return f"{y:.{digits}f}" if np.isnan(half) else f"{y:.{digits}f} ± {half:.{digits}f}"
