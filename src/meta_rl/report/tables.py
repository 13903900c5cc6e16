"""The summary table, the record of how each run was made, and the few sentences of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.report.groups import Factor, Group
from meta_rl.report.normalisation import STEP, Published, ScoreRange, returns_after
from meta_rl.report.runs import REFERENCE, RunResult
from meta_rl.report.statistics import iqm, mean_interval, point, seeds_text
from meta_rl.report.training_figures import final_returns, seconds, time_ratio

UNRECORDED = "not recorded (made before run.json existed)"
LATE = 0.1  # the second-order term is averaged over this last part of the training


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
        own, row = _steps(group), {"method": group.label, "seeds": str(len(group.runs))}
        for step in steps:
            cell = _cell(*mean_interval(returns_after(group, step))) if step <= own else ""
            row[f"return, {step} step{'' if step == 1 else 's'}"] = cell
        training = _cell(*point(final_returns(group))) if group.metrics and own < 0 else ""
        row["return while training"] = training
        if score_range is not None and own >= 0:
            score = iqm(score_range.normalise(returns_after(group, STEP)))
            row[f"score, {STEP} step (IQM)"] = f"{score:.3f}"
        if group.metrics:
            experience = np.mean([metrics["env_steps"].iloc[-1] for metrics in group.metrics])
            time = np.mean([seconds(metrics).sum() for metrics in group.metrics])
            row |= {"million env steps": f"{experience / 1e6:.3g}", "minutes": f"{time / 60:.3g}"}
        rows.append(row | {f"beside {REFERENCE}": words.get(group.label, "")})
    table = pd.DataFrame(rows).fillna("").astype(str)
    return table.loc[:, (table != "").any()]


def _steps(group: Group) -> int:
    """The number of gradient steps of the evaluations, -1 if there are none."""
    return min((evaluation.steps for evaluation in group.evaluations), default=-1)


def _cell(y: float, low: float, high: float) -> str:
    digits = 2 if abs(y) < 100 else 1
    half = (high - low) / 2
    return f"{y:.{digits}f}" if np.isnan(half) else f"{y:.{digits}f} ± {half:.{digits}f}"


def record(run: RunResult, group: Group) -> RunRecord:
    """The record of a run that belongs to `group`."""
    facts = {"method": group.label, "seed": str(run.seed), "iterations": str(run.iterations)}
    if run.metrics is not None:
        facts["environment steps"] = f"{run.metrics['env_steps'].iloc[-1]:,.0f}"
        facts["sampling and updates"] = f"{seconds(run.metrics).sum() / 60:.1f} minutes"
        facts |= _provenance(run)
    commands = [str(start["command"]) for start in run.starts if start.get("command")]
    facts["evaluation"] = "none"
    if run.evaluation is not None:
        known = run.evaluation.facts
        parts = [f"{len(run.evaluation.tasks)} tasks", f"{run.evaluation.episodes} episodes"]
        names = [name for name in ("iteration", "seed", "inner_lr") if known.get(name) not in (None, [])]
        parts += [f"{name} {known[name]}" for name in names]
        facts["evaluation"] = f"{run.evaluation.path.name}: {', '.join(parts)}"
        commands += [str(known["command"])] if known.get("command") else []
    return RunRecord(run.path.as_posix(), run.method, facts, tuple(commands), run.config)


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


def _pairs(values: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items()) if isinstance(values, Mapping) else ""


def findings(groups: Mapping[str, Group], published: pd.DataFrame | None) -> list[str]:
    """Sentences on numbers that need words: relative times, second-order term, MAML beside its paper.

    Args:
        groups: By method, the group to write about.
        published: Published returns on the same tasks; None if nothing is comparable.
    """
    reference, sentences = groups.get(REFERENCE), []
    if reference is None:
        return []
    for group in groups.values():
        if group is not reference and group.metrics and reference.metrics:
            ratio, low, high = time_ratio(group, reference)
            interval = "" if np.isnan(low) else f" (95 % interval {low:.2f} to {high:.2f})"
            sentences.append(
                f"An iteration of {group.method} takes {ratio:.2f} times as long as one of {REFERENCE}"
                f"{interval}."
            )
    sentences.append(_second_order(reference))
    if published is not None and reference.evaluations:
        theirs = published.query("method == 'maml' and gradient_steps == 1")["mean_return"].iloc[0]
        ours = _cell(*mean_interval(returns_after(reference, 1)))
        sentences.append(f"After one gradient step {REFERENCE} has {ours}; published: {theirs:.4g}.")
    return [sentence for sentence in sentences if sentence]


def _second_order(group: Group) -> str:
    """A sentence on the size of the second-order term at the end of the training; "" if it is not known."""
    late = []
    for metrics in group.metrics:
        if "second_order_norm" in metrics:
            end = metrics[metrics["step"] > (1 - LATE) * metrics["step"].max()]
            late.append(end[["second_order_norm", "second_order_cosine"]].mean())
    means = pd.DataFrame(late).dropna()
    if means.empty:
        return ""
    norm, cosine = means["second_order_norm"].mean(), means["second_order_cosine"].mean()
    return (
        f"In the last tenth of the training of {REFERENCE} the second-order term is {norm:.2g} times as long "
        f"as the whole meta-gradient, and the cosine between the gradients with and without it is "
        f"{cosine:.3f} ({seeds_text(len(means))})."
    )


def setting(factors: Sequence[Factor]) -> str:
    """A sentence on the values of the factors in figures other than ablations; "" if nothing is varied."""
    parts = [factor.heading(factor.reference) for factor in factors]
    return f"Where no ablation is shown, the runs are those with {', '.join(parts)}." if parts else ""


def notes_on(
    chosen: Mapping[str, Group], factors: Sequence[Factor], about_scores: str, published: Published
) -> list[str]:
    """How the statistics were made, and what is missing for them, in sentences.

    Args:
        chosen: By method, the group in figures other than ablations.
        factors: The settings that are varied.
        about_scores: The sentence of `find_score_range`.
        published: Published results on the same tasks.
    """
    notes = [published.problem, setting(factors)]
    for group in chosen.values():
        if parts := [f.heading(f.of(group)) for f in factors if f.of(group) != f.reference]:
            shown = f"{group.method} is shown at {', '.join(parts)}"
            notes.append(f"{shown}: it was not run at the setting above.")
    if single := [group.method for group in chosen.values() if len(group.runs) == 1]:
        notes.append(f"A single seed shows no spread and has no interval over seeds: {', '.join(single)}.")
    evaluated = [group for group in chosen.values() if group.evaluations]
    if evaluated:
        first = evaluated[0].evaluations[0]
        tasks = f"{len(first.tasks)} unseen tasks, {first.episodes} episodes a task and gradient step"
        notes += [f"Evaluations: {tasks}, the same for all.", *map(_earlier, evaluated), about_scores]
    starts = [start for group in chosen.values() for run in group.runs for start in run.starts]
    if len(machines := {_pairs(start.get("machine")) for start in starts} - {""}) > 1:
        notes.append(f"Runs were made on {len(machines)} different machines: compare no times.")
    return [note for note in notes if note]


def _earlier(group: Group) -> str:
    """A sentence on an evaluation of another checkpoint than the last; "" if it is of the last."""
    iteration, last = group.evaluations[0].facts.get("iteration"), group.runs[0].iterations
    if iteration in (None, last):
        return ""
    return f"{group.method} is evaluated after {iteration} iterations; its training goes on to {last}."
