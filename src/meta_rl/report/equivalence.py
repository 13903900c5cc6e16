"""Whether a method scores as well as another, up to a margin: two one-sided tests over seeds (TOST)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

from meta_rl.report import verdict_text
from meta_rl.report.model import Verdict

ALPHA = 0.05
POWER = 0.8  # "4 times out of 5" of a sentence
MOST_SEEDS = 1000

Ends = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """A method's mean score less the reference's, by Welch's t-test over the seeds' means.

    Attributes:
        difference: Positive if the method is better.
        inner: Ends of the 90 % interval, which lies within the margin just if `p` is below 5 %.
        outer: Ends of the 95 % interval.
        p: Of the two one-sided tests, the larger one.
        seeds: Of the method and of the reference.
    """

    difference: float
    inner: Ends
    outer: Ends
    p: float
    margin: float
    seeds: tuple[int, int]

    @property
    def clear(self) -> bool:
        """Whether the means differ, at 5 %."""
        return not self.outer[0] <= 0 <= self.outer[1]

    @property
    def word(self) -> Literal["equivalent", "better", "worse", "undecided"]:
        """The verdict."""
        if self.p < ALPHA:
            return "equivalent"
        if self.clear:
            return "better" if self.difference > 0 else "worse"
        return "undecided"


def compare(method: np.ndarray, reference: np.ndarray, margin: float) -> Comparison:
    """Two one-sided tests (Schuirmann 1987) that two means differ by less than the margin.

    Seeds are not paired, even if both sides have the same: different updates soon leave little of what a
    seed shares, and pairs would cost half of the few degrees of freedom. Where a seed does help or harm both
    sides, this test errs towards "undecided". The tasks, the same on both sides, are taken as they are.

    Args:
        method: [seeds] mean score over tasks; at least 2 seeds, which differ.
        reference: [other seeds].
        margin: Positive; differences below it do not matter.
    """
    above: Any = ttest_ind(method + margin, reference, equal_var=False, alternative="greater")
    below: Any = ttest_ind(method - margin, reference, equal_var=False, alternative="less")
    welch: Any = ttest_ind(method, reference, equal_var=False)
    inner, outer = welch.confidence_interval(1 - 2 * ALPHA), welch.confidence_interval(1 - ALPHA)
    return Comparison(
        difference=float(method.mean() - reference.mean()),
        inner=(float(inner.low), float(inner.high)),
        outer=(float(outer.low), float(outer.high)),
        p=float(max(above.pvalue, below.pvalue)),
        margin=margin,
        seeds=(len(method), len(reference)),
    )


def seeds_needed(method: np.ndarray, reference: np.ndarray, margin: float) -> int | None:
    """Seeds a side that show equivalence in 80 % of attempts, if the means are the same and the spreads stay.

    The smallest n with (t_0.95 + t_0.9) * sqrt((s1**2 + s2**2) / n) <= margin, at 2 n - 2 degrees of freedom
    (Julious 2004, *Sample sizes for clinical trials with normal data*). None beyond 1000.

    Args:
        method: [seeds] mean score over tasks; at least 2 seeds.
        reference: [other seeds].
        margin: Positive.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    error = np.sqrt((method.var(ddof=1) + reference.var(ddof=1)) / n)
    reach = student_t.ppf(1 - ALPHA, 2 * n - 2) + student_t.ppf((1 + POWER) / 2, 2 * n - 2)
    enough = n[reach * error <= margin]
    return int(enough[0]) if len(enough) else None


def equivalence(
    scores: Mapping[str, np.ndarray], reference: str, margin: float, margin_meaning: str = ""
) -> tuple[Verdict, ...]:
    """A verdict on each method beside the reference, in the order given.

    "equivalent" if the two one-sided tests reject at 5 %, even where the difference is clear: it is then too
    small to matter, and the sentence says both. Else "better" or "worse" if the 95 % interval of the
    difference does not hold 0. Else "undecided", which is no evidence of equality.

    Args:
        scores: [seeds, tasks] by method.
        reference: One of the methods.
        margin: Positive; chosen before the scores are seen.
        margin_meaning: What the margin is in words, such as "5 % of the range from random to oracle".
    """
    if not margin > 0:
        raise ValueError(f"the margin is {margin}; expected a positive number")
    means = {method: sample.mean(axis=1) for method, sample in scores.items()}
    others = [method for method in scores if method != reference]
    return tuple(_verdict(method, reference, means, margin, margin_meaning) for method in others)


def _verdict(
    method: str, reference: str, means: Mapping[str, np.ndarray], margin: float, meaning: str
) -> Verdict:
    for name in (method, reference):
        if reason := _untestable(name, means[name]):
            sentence = f"{verdict_text.undecided(method, reference)}: {reason}."
            return Verdict(method, reference, "undecided", sentence)
    samples = means[method], means[reference]
    result = compare(*samples, margin)
    sentence = verdict_text.sentence(method, reference, result, meaning)
    if result.word == "undecided":
        sentence += verdict_text.outlook(seeds_needed(*samples, margin), result)
    return Verdict(method, reference, result.word, sentence)


def _untestable(name: str, means: np.ndarray) -> str:
    """Why the seeds of a method are no sample to test; "" if they are one."""
    if len(means) < 2:
        return f"{name} has a single seed, which shows no spread"
    if np.ptp(means) <= 1e-9 * np.abs(means).max():  # closer, rounding would be tested
        return f"the {len(means)} seeds of {name} all score the same, so there is no spread to test against"
    return ""
