"""Whether a method scores as well as another, up to a margin: two one-sided tests over seeds (TOST)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

from meta_rl.evaluation.scores import ENDS

REFERENCE = "MAML"  # the method that others are compared with
MARGIN = 0.05  # of normalised scores: smaller differences do not matter
ALPHA = 0.05  # level of the tests
POWER, OFTEN = 0.8, "4 times out of 5"  # of `seeds_needed`
MOST_SEEDS = 1000  # of `seeds_needed`

Word = Literal["equivalent", "better", "worse", "undecided"]
Ends = tuple[float, float]  # lower and upper


@dataclass(frozen=True)
class Comparison:
    """A method's mean score minus the reference's, by Welch's t-test over the means of the seeds.

    Attributes:
        difference: Difference of the mean scores; positive if the method is better.
        inner: Ends of its 90 % interval, which lies within the margin if and only if `p` is below 5 %.
        outer: Ends of its 95 % interval.
        p: The larger p-value of the two one-sided tests.
        margin: The margin of the tests.
        seeds: Number of seeds of the method and of the reference.
        level: Of the tests; if it is not 5 %, the intervals are those of 1 - 2 level and of 1 - level.
    """

    difference: float
    inner: Ends
    outer: Ends
    p: float
    margin: float
    seeds: tuple[int, int]
    level: float = ALPHA

    @property
    def word(self) -> Word:
        """The verdict in a word, as `verdicts` defines it."""
        if self.p < self.level:
            return "equivalent"
        if self.outer[0] <= 0 <= self.outer[1]:
            return "undecided"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Verdict:
    """How a method compares with the reference.

    Attributes:
        method: Name of the method.
        reference: Name of what it is compared with.
        word: The verdict.
        result: The numbers behind it; None where there is nothing to test with.
        remark: What the word and the numbers leave open, "" for nothing.
    """

    method: str
    reference: str
    word: Word
    result: Comparison | None = None
    remark: str = ""


def compare(method: np.ndarray, reference: np.ndarray, margin: float, level: float = ALPHA) -> Comparison:
    """Two one-sided tests (Schuirmann 1987) that two means differ by less than the margin.

    Seeds are not paired, even if both sides have the same: different updates soon leave little of what a
    seed shares, and pairs would cost half of the few degrees of freedom. Where a seed does help or harm both
    sides, this test errs towards "undecided". The tasks, the same on both sides, are taken as they are.

    Args:
        method: Mean scores over tasks [seeds]; at least 2 seeds, not all equal.
        reference: The same for the reference [seeds of the reference].
        margin: Largest difference that does not matter, in units of the scores; positive.
        level: Of the tests, in (0, 0.5).
    """
    above: Any = ttest_ind(method + margin, reference, equal_var=False, alternative="greater")
    below: Any = ttest_ind(method - margin, reference, equal_var=False, alternative="less")
    welch: Any = ttest_ind(method, reference, equal_var=False)
    inner, outer = welch.confidence_interval(1 - 2 * level), welch.confidence_interval(1 - level)
    return Comparison(
        difference=float(method.mean() - reference.mean()),
        inner=(float(inner.low), float(inner.high)),
        outer=(float(outer.low), float(outer.high)),
        p=float(max(above.pvalue, below.pvalue)),
        margin=margin,
        seeds=(len(method), len(reference)),
        level=level,
    )


def seeds_needed(
    method: np.ndarray, reference: np.ndarray, margin: float, level: float = ALPHA
) -> int | None:
    """Seeds per method that show equivalence in 80 % of attempts, with equal means and spreads as observed.

    The smallest n with (t_{1 - level} + t_0.9) * sqrt((s1**2 + s2**2) / n) <= margin, at 2 n - 2 degrees of
    freedom (Julious 2004, *Sample sizes for clinical trials with normal data*). None beyond 1000. Arguments
    are those of `compare`.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    error = np.sqrt((method.var(ddof=1) + reference.var(ddof=1)) / n)
    reach = student_t.ppf(1 - level, 2 * n - 2) + student_t.ppf((1 + POWER) / 2, 2 * n - 2)
    enough = n[reach * error <= margin]
    return int(enough[0]) if len(enough) else None


def verdicts(samples: Mapping[str, np.ndarray], margin: float = MARGIN) -> tuple[Verdict, ...]:
    """A verdict on every method but random and oracle beside MAML, in the order given; none without MAML.

    "equivalent" if the two one-sided tests reject at 5 %, even where the difference is clear: it is then too
    small to matter. Else "better" or "worse" if the 95 % interval of the difference does not hold 0. Else
    "undecided", which is no evidence of equality.

    Args:
        samples: By method, normalised scores [seeds, tasks] after one gradient step.
        margin: Largest difference that does not matter; positive, and chosen before the scores are seen.
    """
    means = {method: sample.mean(axis=1) for method, sample in samples.items() if method not in ENDS}
    reference = means.pop(REFERENCE, None)
    if reference is None:
        return ()
    return tuple(_verdict(method, mean, reference, margin) for method, mean in means.items())


def _verdict(method: str, means: np.ndarray, reference: np.ndarray, margin: float) -> Verdict:
    for name, sample in ((method, means), (REFERENCE, reference)):
        if len(sample) < 2:
            return Verdict(method, REFERENCE, "undecided")
        if np.ptp(sample) <= 1e-9 * np.abs(sample).max():  # closer, rounding would be tested
            remark = f"the {len(sample)} seeds of {name} all score the same: no spread to test against"
            return Verdict(method, REFERENCE, "undecided", remark=remark)
    result, remark = compare(means, reference, margin), ""
    needed = seeds_needed(means, reference, margin)
    if result.word == "undecided" and (needed is None or needed > max(result.seeds)):
        number = f"more than {MOST_SEEDS}" if needed is None else f"about {needed}"
        remark = f"{number} seeds each would show equivalence {OFTEN}, if there is no difference"
    return Verdict(method, REFERENCE, result.word, result, remark)
