"""The tables of a report: a row for each group of runs, and how each run was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.evaluation.equivalence import REFERENCE, verdicts
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.evaluation.statistics import Interval, iqm, mean_of_tasks, mean_over_seeds
from meta_rl.report.ablation_figures import final_returns
from meta_rl.report.groups import Factor, Group
from meta_rl.report.normalisation import STEP, score_samples
from meta_rl.report.runs import ITERATIONS, RunResult


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    columns: tuple[str, ...] = ()
    data: tuple[tuple[str, ...], ...] = ()  # [rows, columns]


@dataclass(frozen=True)
class RunRecord:
    """How a run was made, as far as its directory says.

    Attributes:
        name: Path of the run directory.
        method: Name of the method.
        facts: By name: seed, iterations, environment steps, wall time, machine, versions, ...
        commands: The commands of all starts and of the evaluation.
        config: The configuration as YAML.
    """

    name: str
    method: str
    facts: dict[str, Any]
    commands: tuple[str, ...]
    config: str


def summary_table(
    groups: Sequence[Group], factors: Sequence[Factor], score_range: ScoreRange | None
) -> Table:
    """A row for each group. Cells are "" where unknown; columns without any text are left out.

    Args:
        groups: All groups.
        factors: The settings that are varied.
        score_range: What normalised scores refer to; None for no column of scores.
    """
    words = _words(groups, factors, score_range) if score_range else {}
    most = max((group.steps for group in groups), default=-1)
    rows = [
        {
            "method": group.label,
            "seeds": str(len(group.runs)),
            **_returns(group, most),
            **_scores(group, score_range),
            **_costs(group),
            f"beside {REFERENCE}": words.get(group.label, ""),
        }
        for group in groups
    ]
    table = pd.DataFrame(rows).fillna("").astype(str)
    table = table.loc[:, (table != "").any()]
    return Table(tuple(table.columns), tuple(map(tuple, table.to_numpy().tolist())))


def cell(interval: Interval) -> str:
    """A mean with half the width of its interval, as far as there is one."""
    y, low, high = map(float, interval)
    digits = 2 if abs(y) < 100 else 1
    return f"{y:.{digits}f}" + ("" if np.isnan(low) else f" ± {(high - low) / 2:.{digits}f}")


def _returns(group: Group, most: int) -> dict[str, str]:
    """Before adaptation and after each of `most` steps; of a training alone, at its end."""
    row = {}
    for step in range(most + 1):
        taken = step <= group.steps
        heading = f"return, {step} step{'' if step == 1 else 's'}"
        row[heading] = cell(mean_of_tasks(group.returns_after(step))) if taken else ""
    alone = group.metrics and not group.evaluations
    return row | {"return while training": cell(mean_over_seeds(final_returns(group))) if alone else ""}


def _scores(group: Group, score_range: ScoreRange | None) -> dict[str, str]:
    if score_range is None or not group.evaluations:
        return {}
    return {f"score, {STEP} step (IQM)": f"{iqm(score_range.normalise(group.returns_after(STEP))):.3f}"}


def _costs(group: Group) -> dict[str, str]:
    """Environment steps and time of the training, means over seeds."""
    if not group.metrics:
        return {}
    steps, minutes = np.mean([m[["million_steps", "minutes"]].iloc[-1] for m in group.metrics], axis=0)
    return {"million env steps": f"{steps:.3g}", "minutes": f"{minutes:.3g}"}


def _words(groups: Sequence[Group], factors: Sequence[Factor], score_range: ScoreRange) -> dict[str, str]:
    """By the label of a group, the word of its verdict beside MAML at the same setting."""
    words = {}
    for group in (group for group in groups if group.method == REFERENCE):
        at_same = {g.method: g for g in groups if all(f.of(g) == f.of(group) for f in factors)}
        for verdict in verdicts(score_samples(at_same, score_range)):
            words[at_same[verdict.method].label] = verdict.word
    return words


def record(run: RunResult, label: str) -> RunRecord:
    """The record of a run; `label` is that of its group."""
    facts: dict[str, Any] = {"method": label, "seed": run.seed, ITERATIONS: run.settings[ITERATIONS]}
    commands = [start.get("command") for start in run.starts]
    if run.metrics is not None:
        facts["environment steps"] = f"{run.metrics['env_steps'].iloc[-1]:,.0f}"
        facts["minutes of sampling and updates"] = f"{run.metrics['minutes'].iloc[-1]:.1f}"
    if run.starts:
        facts |= {"starts": len(run.starts)} | dict(run.starts[-1])
    if run.evaluation is not None:
        facts["evaluation"] = run.evaluation.path.name
        facts |= {f"evaluation, {name}": value for name, value in run.evaluation.facts.items()}
        commands.append(run.evaluation.facts.get("command"))
    facts = {name: value for name, value in facts.items() if not name.endswith(("command", "config"))}
    return RunRecord(
        run.path.as_posix(), run.method, facts, tuple(map(str, filter(None, commands))), run.config
    )
