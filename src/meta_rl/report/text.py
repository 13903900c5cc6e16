"""The sentences of a report: what the numbers show, the headline first, and how they were made."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from meta_rl.report.equivalence import Verdict
from meta_rl.report.groups import Factor, Group
from meta_rl.report.intervals import mean_interval, point, seeds_text
from meta_rl.report.metrics import final_returns, time_ratio
from meta_rl.report.normalisation import Published, returns_after
from meta_rl.report.settings import ENDS, REFERENCE
from meta_rl.report.tables import decimals, machines

FIRST_ORDER = "FOMAML"
LATE = 0.1  # the second-order term is averaged over this last part of the training


def findings(
    groups: Mapping[str, Group], verdicts: Mapping[int, Sequence[Verdict]], published: pd.DataFrame | None
) -> list[str]:
    """What the numbers show: at least one sentence, the headline first.

    Args:
        groups: By method, the group to write about.
        verdicts: By the number of gradient steps, the verdicts on returns after so many. Those of the
            headline come first.
        published: Published returns on the same tasks; None if nothing is comparable.
    """
    sentences, first = [], next(iter(verdicts), None)
    for step, judged in verdicts.items():
        for verdict in sorted(judged, key=lambda v: v.method != FIRST_ORDER):
            cost = _cost(groups[verdict.method], groups) if step == first else ""
            sentences.append(f"{_after(step, verdict.sentence)} {cost}".strip())
    known = {*ENDS, *(verdict.method for judged in verdicts.values() for verdict in judged)}
    sentences += [_cost(group, groups) for method, group in groups.items() if method not in known]
    sentences += [_second_order(group) for group in groups.values()]
    sentences += [_returns(group) for group in groups.values()]
    sentences.append(_beside_published(groups, published))
    return [sentence for sentence in sentences if sentence]


def _after(step: int, sentence: str) -> str:
    """The sentence with the number of gradient steps that it is about."""
    when = "one gradient step" if step == 1 else f"{step} gradient steps"
    return f"After {when}, {sentence[0].lower() + sentence[1:] if sentence.startswith('It ') else sentence}"


def _cost(group: Group, groups: Mapping[str, Group]) -> str:
    """A sentence on the time of an iteration relative to MAML; "" if it is not known."""
    reference = groups.get(REFERENCE)
    if reference is None or group is reference or not group.metrics or not reference.metrics:
        return ""
    ratio, low, high = time_ratio(group, reference)
    interval = "" if np.isnan(low) else f" (95 % interval {low:.2f} to {high:.2f})"
    return f"An iteration of {group.method} takes {ratio:.2f} times as long as one of {REFERENCE}{interval}."


def _second_order(group: Group) -> str:
    """A sentence on the size of the second-order term at the end of the training; "" if it is not known."""
    if group.method != REFERENCE:
        return ""
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


def _returns(group: Group) -> str:
    """A sentence on the returns on unseen tasks; without evaluations, on the return of the training."""
    if not group.evaluations:
        last = final_returns(group)
        seeds = seeds_text(len(last))
        return f"{group.method} ends its training with a return of {_number(*point(last))} ({seeds})."
    steps = min(evaluation.steps for evaluation in group.evaluations)
    before = f"{group.method} reaches a return of {_at(group, 0)} on unseen tasks without adaptation"
    after = f", {_at(group, 1)} after one gradient step" if steps else ""
    last = f" and {_at(group, steps)} after {steps}" if steps > 1 else ""
    return f"{before}{after}{last} ({seeds_text(len(group.evaluations))})."


def _beside_published(groups: Mapping[str, Group], published: pd.DataFrame | None) -> str:
    """A sentence on MAML after one gradient step and its published return; "" if either is not known."""
    group = groups.get(REFERENCE)
    if published is None or group is None or not group.evaluations:
        return ""
    row = published.query("method == 'maml' and gradient_steps == 1")
    theirs = f"{row['mean_return'].iloc[0]:.4g}"
    return f"After one gradient step {REFERENCE} has {_at(group, 1)}; published: {theirs}."


def _at(group: Group, step: int) -> str:
    return _number(*mean_interval(returns_after(group, step)))


def _number(y: float, low: float, high: float) -> str:
    digits = decimals(y)
    interval = "" if np.isnan(low) else f" (95 % interval {low:.{digits}f} to {high:.{digits}f})"
    return f"{y:.{digits}f}{interval}"


def setting(factors: Sequence[Factor]) -> str:
    """A sentence on the values of the factors in figures other than ablations; "" if nothing is varied."""
    parts = [factor.heading(factor.reference) for factor in factors]
    return f"Where no ablation is shown, the runs are those with {', '.join(parts)}." if parts else ""


def notes_on(
    groups: Sequence[Group],
    chosen: Mapping[str, Group],
    factors: Sequence[Factor],
    verdicts: Sequence[Verdict],
    about_scores: str,
    published: Published,
) -> list[str]:
    """How the statistics were made, in sentences.

    Args:
        groups: All groups.
        chosen: By method, the group in figures other than ablations.
        factors: The settings that are varied.
        verdicts: The verdicts of the report.
        about_scores: The sentence of `find_score_range`.
        published: Published results on the same tasks.
    """
    notes = [published.problem, setting(factors)]
    notes += [_off_reference(group, factors) for group in chosen.values()]
    evaluated = [group for group in chosen.values() if group.evaluations]
    if evaluated:
        notes += [_tasks(evaluated), *map(_earlier, evaluated), about_scores]
    if verdicts:
        notes.append(
            "Verdicts: two one-sided t-tests over seeds at 5 %, after one gradient step. Each stands for "
            "itself, without a correction for their number."
        )
    if len(machines(groups)) > 1:
        notes.append(f"Runs were made on {len(machines(groups))} different machines: compare no times.")
    return [note for note in notes if note]


def _off_reference(group: Group, factors: Sequence[Factor]) -> str:
    """A sentence on a method that was not run at the reference values; "" if it was."""
    parts = [f.heading(f.of(group)) for f in factors if f.of(group) != f.reference]
    shown = f"{group.method} is shown at {', '.join(parts)}"
    return f"{shown}: it was not run at the setting above." if parts else ""


def _tasks(groups: Sequence[Group]) -> str:
    """A sentence on the numbers of unseen tasks and episodes."""
    evaluation = groups[0].evaluations[0]
    n, episodes = len(evaluation.tasks), evaluation.episodes
    return f"Evaluations: {n} unseen tasks, {episodes} episodes a task and gradient step, the same for all."


def _earlier(group: Group) -> str:
    """A sentence on an evaluation of another checkpoint than the last; "" if it is of the last."""
    iteration, last = group.evaluations[0].facts.get("iteration"), group.runs[0].iterations
    if iteration in (None, last):
        return ""
    return f"{group.method} is evaluated after {iteration} iterations; its training goes on to {last}."
