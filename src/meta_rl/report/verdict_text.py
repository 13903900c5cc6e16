"""The sentence of a verdict: what was found, by how much, how sure that is, and how many seeds say so."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meta_rl.report.equivalence import Comparison, Ends


def undecided(method: str, reference: str) -> str:
    """How a sentence without a finding begins."""
    return f"It is undecided whether {method} is equivalent to {reference}"


def sentence(method: str, reference: str, result: Comparison, margin_meaning: str) -> str:
    """A comparison in words, numbers with two digits of the margin.

    Args:
        margin_meaning: What the margin is; "" to give only its number.
    """
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
        return f"{undecided(method, reference)}: {scores}, and the {inner} reaches beyond {margin} {test}"
    beyond = min(map(abs, result.outer)) >= result.margin
    by = "by more than" if beyond else "perhaps by less than"
    return f"{method} is {result.word} than {reference}: {scores} ({outer}), {by} {margin} {test}"


def outlook(needed: int | None, result: Comparison) -> str:
    """How many seeds would settle it, if that is more than there are.

    Args:
        needed: By `seeds_needed`.
    """
    if needed is not None and needed <= max(result.seeds):
        return ""
    number = "more than 1000" if needed is None else f"about {needed}"
    return f" If there is no difference, {number} seeds each with this spread would show it 4 times out of 5."


def _ends(ends: Ends, decimals: int) -> str:
    return " to ".join(f"{end:z.{decimals}f}" for end in ends)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
