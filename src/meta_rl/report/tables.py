"""The summary table, a row for each group of runs, and the record of how each run was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.report.groups import Group
from meta_rl.report.intervals import mean_interval, point
from meta_rl.report.metrics import final_returns, median_seconds, seconds
from meta_rl.report.normalisation import STEP, ScoreRange, returns_after
from meta_rl.report.runs import RunResult
from meta_rl.report.scores import iqm
from meta_rl.report.settings import REFERENCE

UNRECORDED = "not recorded (made before run.json existed)"


@dataclass(frozen=True)
class RunRecord:
    """How a run was made, as far as its directory says.

    Attributes:
        name: Path of the run directory.
        method: Name of the method.
        facts: By name, as texts: seed, iterations, environment steps, wall time, machine, versions, ...
        commands: The commands of all starts and of the evaluation.
        config: The configuration as YAML.
    """

    name: str
    method: str
    facts: dict[str, str]
    commands: tuple[str, ...]
    config: str


def summary_table(
    groups: Sequence[Group], score_range: ScoreRange | None, words: Mapping[str, str]
) -> pd.DataFrame:
    """A row for each group. Cells are texts, "" where unknown; columns without any text are left out.

    Args:
        groups: All groups.
        score_range: What normalised scores refer to; None for no column of scores.
        words: By the label of a group, its verdict in a word.
    """
    steps = range(1 + max((_steps(group) for group in groups), default=-1))
    rows = []
    for group in groups:
        row = {"method": group.label, "seeds": str(len(group.runs)), **_training(group)}
        own = _steps(group)
        for step in steps:
            cell = _cell(*mean_interval(returns_after(group, step))) if step <= own else ""
            row[f"return, {step} step{'' if step == 1 else 's'}"] = cell
        if score_range is not None and own >= 0:
            score = iqm(score_range.normalise(returns_after(group, STEP)))
            row[f"score, {STEP} step (IQM)"] = f"{score:.3f}"
        row[f"beside {REFERENCE}"] = words.get(group.label, "")
        rows.append(row)
    table = pd.DataFrame(rows).fillna("").astype(str)
    filled = [name for name in table.columns if table[name].to_list() != [""] * len(table)]
    return table.filter(items=filled)


def _steps(group: Group) -> int:
    """The number of gradient steps of the evaluations, -1 if there are none."""
    return min((evaluation.steps for evaluation in group.evaluations), default=-1)


def _training(group: Group) -> dict[str, str]:
    """Iterations, environment steps, time and final return of the training; means over seeds."""
    trained = group.metrics
    if not trained:
        return {}
    steps = np.mean([metrics["env_steps"].iloc[-1] for metrics in trained])
    time = np.mean([seconds(metrics).sum() for metrics in trained])
    return {
        "iterations": str(group.runs[0].iterations),
        "million env steps": f"{steps / 1e6:.3g}",
        "minutes": f"{time / 60:.3g}",
        "s/iteration": f"{median_seconds(group).mean():.3g}",
        "return while training": _cell(*point(final_returns(group))),
    }


def decimals(y: float) -> int:
    """How many decimals of a return are shown."""
    return 2 if abs(y) < 100 else 1


def _cell(y: float, low: float, high: float) -> str:
    digits = decimals(y)
    half = (high - low) / 2
    return f"{y:.{digits}f}" if np.isnan(half) else f"{y:.{digits}f} ± {half:.{digits}f}"


def record(run: RunResult, group: Group) -> RunRecord:
    """The record of a run that belongs to `group`."""
    facts = {"method": group.label, "seed": str(run.seed), "iterations": str(run.iterations)}
    if run.metrics is not None:
        facts["environment steps"] = f"{run.metrics['env_steps'].iloc[-1]:,.0f}"
        facts["sampling and updates"] = f"{seconds(run.metrics).sum() / 60:.1f} minutes"
        facts |= _provenance(run)
    facts |= _evaluation(run)
    return RunRecord(run.path.as_posix(), run.method, facts, tuple(_commands(run)), run.config)


def _provenance(run: RunResult) -> dict[str, str]:
    """Facts about the last start; of earlier ones the record has the commands."""
    if not run.starts:
        return {"command, versions and machine": UNRECORDED}
    last = run.starts[-1]
    spent = [start["seconds"] for start in run.starts if start.get("seconds") is not None]
    facts = {
        "starts": str(len(run.starts)),
        "last start": last.get("started"),
        "wall time": f"{sum(spent) / 60:.1f} minutes" if spent else None,
        "outcome": last.get("outcome"),
        "commit": last.get("commit"),
        "machine": _pairs(last.get("machine")),
        "versions": _pairs(last.get("versions")),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _evaluation(run: RunResult) -> dict[str, str]:
    if run.evaluation is None:
        return {"evaluation": "none"}
    evaluation, facts = run.evaluation, run.evaluation.facts
    parts = [f"{len(evaluation.tasks)} tasks", f"{evaluation.episodes} episodes"]
    parts += [
        f"{name} {facts[name]}"
        for name in ("iteration", "seed", "inner_lr")
        if facts.get(name) not in (None, [])
    ]
    return {"evaluation": f"{evaluation.path.name}: {', '.join(parts)}"}


def _commands(run: RunResult) -> list[str]:
    commands = [str(start["command"]) for start in run.starts if start.get("command")]
    if run.evaluation is not None and run.evaluation.facts.get("command"):
        commands.append(str(run.evaluation.facts["command"]))
    return commands


def _pairs(values: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, Mapping) else ""


def machines(groups: Sequence[Group]) -> set[str]:
    """The different machines on which the runs were made, as far as recorded."""
    starts = [start for group in groups for run in group.runs for start in run.starts]
    return {_pairs(start.get("machine")) for start in starts} - {""}
