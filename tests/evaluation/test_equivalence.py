"""Verdicts at their boundaries, and TOST against published and hand-worked numbers."""

import warnings

import numpy as np
import pytest
from scipy.stats import t as student_t

from meta_rl.evaluation.equivalence import Verdict, compare, seeds_needed, verdicts

FIVE = np.arange(1.0, 6.0)  # two such samples: standard error of the difference 1, 8 degrees of freedom


def on_two_tasks(means: np.ndarray) -> np.ndarray:
    """[seeds, 2] scores with these means."""
    return np.stack([means - 1, means + 1], axis=1)


def verdict(shift: float, margin: float) -> Verdict:
    """On a method that scores `shift` higher than MAML in each of five seeds."""
    scores = {"MAML": on_two_tasks(FIVE), "FOMAML": on_two_tasks(FIVE + shift)}
    return verdicts(scores, margin)[0]


def sample(mean: float, deviation: float, n: int) -> np.ndarray:
    """n numbers of exactly this mean and standard deviation."""
    x = np.random.default_rng(0).normal(size=n)
    return mean + deviation * (x - x.mean()) / x.std(ddof=1)


def test_a_published_example() -> None:
    """Moery and Calin-Jageman 2016, as in the help of the R package TOSTER, TOSTtwo: t = -2.69, p = 0.004."""
    margin = 0.43 * np.sqrt((0.95**2 + 0.83**2) / 2)  # 0.43 standard deviations
    result = compare(sample(5.25, 0.95, 95), sample(5.22, 0.83, 89), margin)
    assert round(result.p, 3) == 0.004
    assert student_t.isf(result.p, 182) == pytest.approx(2.69, abs=0.01)
    assert result.difference == pytest.approx(0.03)


def test_p_and_intervals_by_hand() -> None:
    """Tables: t_0.95 is 1.860 and t_0.975 is 2.306 with 8 degrees of freedom."""
    result = compare(FIVE + 0.5, FIVE, 0.5 + 1.860)
    assert result.p == pytest.approx(0.05, abs=1e-4)
    assert result.inner == pytest.approx((0.5 - 1.860, 0.5 + 1.860), abs=1e-3)
    assert result.outer == pytest.approx((0.5 - 2.306, 0.5 + 2.306), abs=1e-3)


def test_spreads_and_numbers_may_differ() -> None:
    """Welch and Satterthwaite by their formula, as `compare` leaves it to SciPy."""
    a, b = np.array([0.1, 0.5, 0.3]), np.array([0.32, 0.3, 0.31, 0.33, 0.35])
    va, vb = a.var(ddof=1) / 3, b.var(ddof=1) / 5
    degrees = (va + vb) ** 2 / (va**2 / 2 + vb**2 / 4)
    difference = a.mean() - b.mean()
    t = (0.4 - abs(difference)) / np.sqrt(va + vb)
    assert compare(a, b, 0.4).p == pytest.approx(student_t.sf(t, degrees))
    assert compare(b, a, 0.4).p == pytest.approx(student_t.sf(t, degrees))


@pytest.mark.parametrize("shift", [-1.3, 0.0, 0.4])
def test_p_is_below_5_percent_just_if_the_90_percent_interval_is_within(shift: float) -> None:
    edge = abs(shift) + student_t.ppf(0.95, 8)
    for margin, within in ((edge - 1e-6, False), (edge + 1e-6, True)):
        result = compare(FIVE + shift, FIVE, margin)
        assert (result.p < 0.05) == within
        assert (max(map(abs, result.inner)) < margin) == within


@pytest.mark.parametrize(
    ("shift", "margin", "word", "clear"),
    [
        (0.0, 1.85, "undecided", False),
        (0.0, 1.87, "equivalent", False),
        (-2.30, 4.1, "undecided", False),
        (-2.32, 4.1, "worse", True),
        (2.32, 4.1, "better", True),
        (2.30, 4.2, "equivalent", False),
        (2.32, 4.2, "equivalent", True),
        (-2.32, 4.2, "equivalent", True),
    ],
)
def test_words_on_both_sides_of_their_boundaries(shift: float, margin: float, word: str, clear: bool) -> None:
    result = verdict(shift, margin)
    assert result.word == word
    assert result.result is not None
    assert (result.result.outer[0] <= 0 <= result.result.outer[1]) != clear


REMARKS = [
    ((0.1, 2.5), "equivalent", ""),
    ((-2.5, 5), "equivalent", ""),
    ((-10, 7), "worse", ""),
    ((10, 8), "better", ""),
    (
        (1, 2.5),
        "undecided",
        "about 8 seeds each would show equivalence 4 times out of 5, if there is no difference",
    ),
]


@pytest.mark.parametrize(("shift_and_margin", "word", "remark"), REMARKS)
def test_the_remarks(shift_and_margin: tuple[float, float], word: str, remark: str) -> None:
    found = verdict(*shift_and_margin)
    assert (found.word, found.remark) == (word, remark)
    assert found.result is not None
    assert found.result.difference == pytest.approx(shift_and_margin[0])


def test_every_method_but_the_reference_has_a_verdict() -> None:
    names = ["Reptile", "MAML", "FOMAML"]
    found = verdicts(dict.fromkeys(names, on_two_tasks(FIVE)), 0.1)
    assert [(v.method, v.reference) for v in found] == [("Reptile", "MAML"), ("FOMAML", "MAML")]
    assert [v.word for v in found] == ["undecided"] * 2  # equal means are no evidence of equality


def test_what_leaves_a_verdict_as_it_is() -> None:
    rng = np.random.default_rng(0)
    scores = {"MAML": rng.normal(size=(5, 4)), "FOMAML": rng.normal(size=(6, 4))}
    (expected,) = verdicts(scores, 1.0)
    for changed in (lambda v: v + 9, lambda v: v[::-1, ::-1]):
        (found,) = verdicts({k: changed(v) for k, v in scores.items()}, 1.0)
        assert (found.word, found.remark) == (expected.word, expected.remark)
        assert found.result.outer == pytest.approx(expected.result.outer)


@pytest.mark.parametrize(
    ("method", "reference", "remark"),
    [
        (FIVE[:1], FIVE, ""),
        (FIVE, FIVE[:1], ""),
        (np.full(3, 0.1), FIVE, "the 3 seeds of FOMAML all score the same: no spread to test against"),
        (FIVE, 0.1 + 1e-16 * FIVE, "the 5 seeds of MAML all score the same: no spread to test against"),
        (np.zeros(2), np.zeros(2), "the 2 seeds of FOMAML all score the same: no spread to test against"),
    ],
)
def test_without_spread_it_is_undecided(method: np.ndarray, reference: np.ndarray, remark: str) -> None:
    scores = {"FOMAML": on_two_tasks(method), "MAML": on_two_tasks(reference)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (result,) = verdicts(scores)
    assert result == Verdict("FOMAML", "MAML", "undecided", remark=remark)


def test_the_seeds_needed_show_equivalence_4_times_out_of_5() -> None:
    rng = np.random.default_rng(0)
    n = seeds_needed(sample(0, 0.06, 5), sample(1, 0.06, 3), 0.05)
    assert n == 26  # z: (1.645 + 1.282)**2 * 2 * 0.06**2 / 0.05**2 = 24.7; t asks for a little more
    shown = [compare(*rng.normal(0, 0.06, (2, n)), 0.05).p < 0.05 for _ in range(200)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.07)
    assert seeds_needed(FIVE, FIVE, 0.01) is None
    assert "more than 1000 seeds" in verdict(0, 0.01).remark
    assert "4 times out of 5" not in verdict(3, 4.2).remark  # five are enough if there is no difference
    assert verdict(2.29, 4.1).word == "undecided"
    assert "4 times out of 5" not in verdict(2.29, 4.1).remark


def test_wrong_claims_of_equivalence_are_5_percent() -> None:
    """With a true difference of just the margin, and unequal spreads."""
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(1, 1, 5), rng.normal(0, 0.3, 4)) for _ in range(400)]
    claimed = [compare(a, b, 1.0).p < 0.05 for a, b in pairs]
    assert 0.02 < np.mean(claimed) < 0.08


def test_verdicts_are_about_what_adapts() -> None:
    stream = np.random.default_rng(0)
    samples = {name: stream.normal(0.9, 0.001, (5, 3)) for name in ("MAML", "FOMAML", "oracle", "random")}
    (verdict,) = verdicts(samples)
    assert (verdict.method, verdict.reference, verdict.word) == ("FOMAML", "MAML", "equivalent")
    assert verdict.result is not None
    assert verdict.result.margin == 0.05
    del samples["MAML"]
    assert verdicts(samples) == ()
