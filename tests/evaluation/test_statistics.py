"""Means with their intervals, against tables and numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest

from helpers import adaptation
from meta_rl.evaluation.scores import normalised_scores
from meta_rl.evaluation.statistics import summarise, summarise_adaptation, t_quantile


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (39, 2.0227), (10_000, 1.9602)]
)
def test_t_quantile_agrees_with_the_table(degrees: int, quantile: float) -> None:
    assert t_quantile(pd.Series([degrees])).item() == pytest.approx(quantile, rel=1e-4)


def test_summary_by_hand() -> None:
    frame = pd.DataFrame({"gradient_step": [0, 0, 0, 1], "return_mean": [1.0, 2.0, 3.0, 5.0]})
    table = summarise(frame, "gradient_step", "return_mean")
    assert table["mean"].tolist() == [2, 5]
    assert table["n"].tolist() == [3, 1]
    assert table["half_width"][0] == pytest.approx(4.3027 / np.sqrt(3), rel=1e-4)  # std 1, 3 values
    assert np.isnan(table["half_width"][1])


def test_seeds_are_the_replicates_where_there_are_seeds() -> None:
    frame = adaptation([1, 2])
    table = summarise_adaptation(frame)
    assert table["n"].tolist() == [2, 2, 2]
    assert table["mean"].tolist() == [
        frame.query("gradient_step == @s")["return_mean"].mean() for s in range(3)
    ]
    assert summarise_adaptation(frame.drop(columns="seed"))["n"].tolist() == [8, 8, 8]


def test_normalised_scores_by_hand() -> None:
    returns = pd.DataFrame({0: [1.0, 2.0, 3.0], 1: [2.0, 6.0, 7.0]})
    random, oracle = np.array([0.0, 1.0, 2.0]), np.array([4.0, 5.0, 9.0])  # gaps of 4, 4 and 7, 15 in all
    table = normalised_scores(returns, random, oracle)
    assert table["mean"].tolist() == pytest.approx([3 / 15, 12 / 15])
    residuals = [2 - 0.8 * 4, 5 - 0.8 * 4, 5 - 0.8 * 7]  # -1.2, 1.8 and -0.6: a variance of 2.52
    assert sum(residuals) == pytest.approx(0)
    assert table["half_width"][1] == pytest.approx(4.3027 * np.sqrt(2.52 / 3) / 5, rel=1e-4)


def test_random_and_oracle_are_the_ends_of_the_scale() -> None:
    random, oracle = np.array([0.0, 1.0, 5.0]), np.array([4.0, 5.0, 7.0])
    table = normalised_scores(pd.DataFrame({0: random, 1: oracle}), random, oracle)
    assert table["mean"].tolist() == [0, 1]
    assert table["half_width"].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_the_interval_of_a_score_covers_as_often_as_it_says() -> None:
    stream = np.random.default_rng(0)
    hits = 0
    for _ in range(500):
        difficulty = 5 * stream.normal(size=40)  # of the tasks, shared by all policies
        random, oracle = difficulty + stream.normal(size=40), difficulty + 10 + stream.normal(size=40)
        returns = pd.DataFrame({0: difficulty + 6 + stream.normal(size=40)})
        score = normalised_scores(returns, random, oracle).loc[0]
        hits += abs(score["mean"] - 0.6) <= score["half_width"]
    assert 460 <= hits <= 490
