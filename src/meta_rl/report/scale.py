"""Scores between random and oracle, and what is judged by them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from meta_rl.report.equivalence import equivalence
from meta_rl.report.groups import Group
from meta_rl.report.model import Verdict
from meta_rl.report.published import Published
from meta_rl.report.scores import normalise
from meta_rl.report.settings import ENDS, REFERENCE

MARGIN = 0.05
MARGIN_MEANING = "5 % of the range from random to oracle"
STEP = 1  # gradient steps after which methods are judged


@dataclass(frozen=True)
class Scale:
    """Mean returns without adaptation that make the scores 0 and 1.

    Attributes:
        random: Return of the random policy.
        oracle: Return of the oracle; higher than random's.
        source: Whose they are, in words.
    """

    random: float
    oracle: float
    source: str


def find_scale(groups: Mapping[str, Group], published: Published) -> tuple[Scale | None, str]:
    """The scale of these runs, else the published one, else none; and a sentence about it.

    Args:
        groups: By method.
        published: What is comparable with them.
    """
    ends = [groups[method] for method in ENDS if method in groups and groups[method].evaluations]
    if len(ends) == 2:
        random, oracle = (float(returns(group, 0).mean()) for group in ends)
        scale = Scale(random, oracle, "of these runs")
    else:
        values = [published.unadapted(method) for method in ENDS]
        if values[0] is None or values[1] is None:
            present = {group.method for group in ends}
            missing = " and ".join(f"an evaluated {method}" for method in ENDS if method not in present)
            return None, f"No normalised scores, hence no margin: {missing} is missing among the runs."
        scale = Scale(values[0], values[1], "published")
    if not scale.oracle > scale.random:
        return None, "No normalised scores, hence no margin: the oracle is no better than random."
    return scale, (
        f"Normalised scores: 0 is the mean return of the random policy without adaptation "
        f"({scale.random:.4g}), 1 that of the oracle ({scale.oracle:.4g}), {scale.source}."
    )


def returns(group: Group, step: int) -> np.ndarray:
    """[seeds, tasks] after `step` gradient steps, or after the last of a policy that takes fewer."""
    return np.stack([evaluation.after(step) for evaluation in group.evaluations])


def scores(groups: Mapping[str, Group], scale: Scale | None, step: int = STEP) -> dict[str, np.ndarray]:
    """[seeds, tasks] by method: scores, or returns where there is no scale."""
    found = {method: returns(group, step) for method, group in groups.items() if group.evaluations}
    if scale is None:
        return found
    return {method: normalise(sample, scale.random, scale.oracle) for method, sample in found.items()}


def judge(samples: Mapping[str, np.ndarray], scale: Scale | None, why_not: str) -> tuple[Verdict, ...]:
    """Every adapting method beside MAML.

    Args:
        samples: [seeds, tasks] by method, as of `scores`.
        scale: Of the samples.
        why_not: What keeps us from judging if there is no scale.
    """
    judged = {method: sample for method, sample in samples.items() if method not in ENDS}
    if REFERENCE not in judged:
        return ()
    if scale is not None:
        return equivalence(judged, REFERENCE, MARGIN, MARGIN_MEANING)
    sentence = f"It is undecided how {{}} compares with {REFERENCE}: {why_not[0].lower()}{why_not[1:]}"
    others = [method for method in judged if method != REFERENCE]
    return tuple(Verdict(method, REFERENCE, "undecided", sentence.format(method)) for method in others)
