"""Whether a method scores as well as another, up to a margin: two one-sided tests over seeds (TOST)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student_t
from scipy.stats import ttest_ind

from meta_rl.report.settings import ENDS, REFERENCE

MARGIN = 0.05  # of normalised scores: smaller differences do not matter
MARGIN_MEANING = "5 % of the range from random to oracle"
ALPHA = 0.05  # level of the tests
POWER = 0.8  # of `seeds_needed`; the sentences say "4 times out of 5"
MOST_SEEDS = 1000  # of `seeds_needed`

Word = Literal["equivalent", "better", "worse", "undecided"]
Ends = tuple[float, float]  # lower and upper


@dataclass(frozen=True)
class Verdict:
    """How a method compares with the reference, in a word and in a sentence."""

    method: str
    reference: str
    word: Word
    sentence: str


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
    """

    difference: float
    inner: Ends
    outer: Ends
    p: float
    margin: float
    seeds: tuple[int, int]

    @property
    def clear(self) -> bool:
        """Whether the means differ at the 5 % level."""
        return not self.outer[0] <= 0 <= self.outer[1]

    @property
    def word(self) -> Word:
        """The verdict in a word, as `verdicts` defines it."""
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
        method: Mean scores over tasks [seeds]; at least 2 seeds, not all equal.
        reference: The same for the reference [seeds of the reference].
        margin: Largest difference that does not matter, in units of the scores; positive.
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
    """Seeds per method that show equivalence in 80 % of attempts, with equal means and spreads as observed.

    The smallest n with (t_0.95 + t_0.9) * sqrt((s1**2 + s2**2) / n) <= margin, at 2 n - 2 degrees of freedom
    (Julious 2004, *Sample sizes for clinical trials with normal data*). None beyond 1000.

    Args:
        method: Mean scores over tasks [seeds]; at least 2 seeds.
        reference: The same for the reference [seeds of the reference].
        margin: Largest difference that does not matter; positive.
    """
    n = np.arange(2, MOST_SEEDS + 1)
    error = np.sqrt((method.var(ddof=1) + reference.var(ddof=1)) / n)
    reach = student_t.ppf(1 - ALPHA, 2 * n - 2) + student_t.ppf((1 + POWER) / 2, 2 * n - 2)
    enough = n[reach * error <= margin]
    return int(enough[0]) if len(enough) else None


def judge(samples: Mapping[str, np.ndarray], normalised: bool, about_scores: str) -> tuple[Verdict, ...]:
    """A verdict on every method but random and oracle beside MAML; none if MAML is missing.

    Args:
        samples: By method, scores or returns [seeds, tasks].
        normalised: Whether they are normalised scores. Returns have no margin: they leave all undecided.
        about_scores: Why they are not normalised, a sentence.
    """
    judged = {method: sample for method, sample in samples.items() if method not in ENDS}
    if REFERENCE not in judged:
        return ()
    if normalised:
        return verdicts(judged, REFERENCE, MARGIN, MARGIN_MEANING)
    sentence = (
        f"It is undecided how {{}} compares with {REFERENCE}: {about_scores[0].lower()}{about_scores[1:]}"
    )
    others = [method for method in judged if method != REFERENCE]
    return tuple(Verdict(method, REFERENCE, "undecided", sentence.format(method)) for method in others)


def verdicts(
    scores: Mapping[str, np.ndarray], reference: str, margin: float, margin_meaning: str = ""
) -> tuple[Verdict, ...]:
    """A verdict on each method beside the reference, in the order given.

    "equivalent" if the two one-sided tests reject at 5 %, even where the difference is clear: it is then too
    small to matter, and the sentence says both. Else "better" or "worse" if the 95 % interval of the
    difference does not hold 0. Else "undecided", which is no evidence of equality.

    Args:
        scores: By method, the scores [seeds, tasks].
        reference: The method that the others are compared with; a key of `scores`.
        margin: Largest difference that does not matter; positive, and chosen before the scores are seen.
        margin_meaning: The margin in words, such as "5 % of the range from random to oracle"; "" for none.

    Raises:
        ValueError: if the margin is not positive.
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
            return Verdict(method, reference, "undecided", f"{_undecided(method, reference)}: {reason}.")
    samples = means[method], means[reference]
    result = compare(*samples, margin)
    sentence = _sentence(method, reference, result, meaning)
    if result.word == "undecided":
        sentence += _outlook(seeds_needed(*samples, margin), result)
    return Verdict(method, reference, result.word, sentence)


def _untestable(name: str, means: np.ndarray) -> str:
    """Why the seeds of a method cannot be tested; "" if they can."""
    if len(means) < 2:
        return f"{name} has a single seed, which shows no spread"
    if np.ptp(means) <= 1e-9 * np.abs(means).max():  # closer, rounding would be tested
        return f"the {len(means)} seeds of {name} all score the same, so there is no spread to test against"
    return ""


def _undecided(method: str, reference: str) -> str:
    """The beginning of a sentence without a finding."""
    return f"It is undecided whether {method} is equivalent to {reference}"


def _sentence(method: str, reference: str, result: Comparison, margin_meaning: str) -> str:
    """A comparison in words, with as many decimals as give the margin two significant digits."""
    decimals = max(0, 1 - floor(log10(result.margin)))
    direction = "higher" if result.difference > 0 else "lower"
    scores = f"it scores {abs(result.difference):.{decimals}f} {direction}"
    inner = f"90 % interval {_ends(result.inner, decimals)}"
    outer = f"95 % interval {_ends(result.outer, decimals)}"
    margin = f"the margin of {result.margin:g}" + (f", {margin_meaning}" if margin_meaning else "")
    test = f"(TOST p {_p(result.p)}, {result.seeds[0]} and {result.seeds[1]} seeds)."
    if result.word == "equivalent":
        text = f"{method} is equivalent to {reference}: {scores} ({inner}), within {margin} {test}"
        return text + (f" The difference is clear ({outer}) but too small to matter." if result.clear else "")
    if result.word == "undecided":
        return f"{_undecided(method, reference)}: {scores}, and the {inner} reaches beyond {margin} {test}"
    beyond = min(map(abs, result.outer)) >= result.margin
    by = "by more than" if beyond else "perhaps by less than"
    return f"{method} is {result.word} than {reference}: {scores} ({outer}), {by} {margin} {test}"


def _outlook(needed: int | None, result: Comparison) -> str:
    """A sentence on how many seeds would settle it, "" if there are as many already."""
    if needed is not None and needed <= max(result.seeds):
        return ""
    number = "more than 1000" if needed is None else f"about {needed}"
    return f" If there is no difference, {number} seeds each with this spread would show it 4 times out of 5."


def _ends(ends: Ends, decimals: int) -> str:
    return " to ".join(f"{end:z.{decimals}f}" for end in ends)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
