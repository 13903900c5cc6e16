"""Sentences on what the numbers show; the headline first."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from meta_rl.report.ablation import LAST
from meta_rl.report.adaptation import mean_interval
from meta_rl.report.curves import column, point, seeds_text
from meta_rl.report.groups import Group
from meta_rl.report.model import Verdict
from meta_rl.report.scale import returns
from meta_rl.report.settings import ENDS, REFERENCE
from meta_rl.report.timing import time_ratio

FIRST_ORDER = "FOMAML"
LATE = 0.1  # the last share of a training that the second-order term is averaged over


def find(
    groups: Mapping[str, Group], verdicts: Mapping[int, Sequence[Verdict]], published: pd.DataFrame | None
) -> list[str]:
    """What to say of the groups by method; at least one sentence.

    Args:
        groups: By method.
        verdicts: By the number of gradient steps that they are about, the headline's first.
        published: Returns of others.
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
    """The sentence, about a number of gradient steps."""
    when = "one gradient step" if step == 1 else f"{step} gradient steps"
    return f"After {when}, {sentence[0].lower() + sentence[1:] if sentence.startswith('It ') else sentence}"


def _cost(group: Group, groups: Mapping[str, Group]) -> str:
    """How long an iteration takes beside MAML's."""
    reference = groups.get(REFERENCE)
    if reference is None or group is reference or not group.metrics or not reference.metrics:
        return ""
    ratio, low, high = time_ratio(group, reference)
    interval = "" if np.isnan(low) else f" (95 % interval {low:.2f} to {high:.2f})"
    return f"An iteration of {group.method} takes {ratio:.2f} times as long as one of {REFERENCE}{interval}."


def _second_order(group: Group) -> str:
    """How large the second-order term is at the end of the training."""
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
        f"{cosine:.3f} "
        f"({seeds_text(len(means))})."
    )


def _returns(group: Group) -> str:
    """Returns on unseen tasks before and after one gradient step; without evaluations, while training."""
    if not group.evaluations:
        last = np.array([column(metrics, "return_post")[-LAST:].mean() for metrics in group.metrics])
        seeds = seeds_text(len(last))
        return f"{group.method} ends its training with a return of {_number(*point(last))} ({seeds})."
    steps = min(evaluation.steps for evaluation in group.evaluations)
    before = f"{group.method} reaches a return of {_at(group, 0)} on unseen tasks without adaptation"
    after = f", {_at(group, 1)} after one gradient step" if steps else ""
    last = f" and {_at(group, steps)} after {steps}" if steps > 1 else ""
    return f"{before}{after}{last} ({seeds_text(len(group.evaluations))})."


def _beside_published(groups: Mapping[str, Group], published: pd.DataFrame | None) -> str:
    """Our MAML after one gradient step beside the published one."""
    group = groups.get(REFERENCE)
    if published is None or group is None or not group.evaluations:
        return ""
    row = published.query("method == 'maml' and gradient_steps == 1")
    theirs = f"{row['mean_return'].iloc[0]:.4g}"
    return f"After one gradient step {REFERENCE} has {_at(group, 1)}; published: {theirs}."


def _at(group: Group, step: int) -> str:
    return _number(*mean_interval(returns(group, step)))


def _number(y: float, low: float, high: float) -> str:
    digits = 2 if abs(y) < 100 else 1
    interval = "" if np.isnan(low) else f" (95 % interval {low:.{digits}f} to {high:.{digits}f})"
    return f"{y:.{digits}f}{interval}"
