"""Intervals against tables, figures against what they must show, and the committed tables' round trip."""

from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from meta_rl.charts.plotting import plot_adaptation, plot_comparison
from meta_rl.evaluation.published import published_returns
from meta_rl.evaluation.statistics import normalised_scores, summarise, summarise_adaptation, t_quantile


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


def adaptation(seeds: list[int], tasks: int = 4, steps: int = 3) -> pd.DataFrame:
    rows = [
        (seed, task, step, -10.0 + step + seed)
        for seed in seeds
        for task in range(tasks)
        for step in range(steps)
    ]
    return pd.DataFrame(rows, columns=["seed", "task", "gradient_step", "return_mean"])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """The figures that have been saved."""
    saved: list[matplotlib.figure.Figure] = []
    save = matplotlib.figure.Figure.savefig

    def savefig(figure: matplotlib.figure.Figure, *args: object, **kwargs: object) -> None:
        saved.append(figure)
        save(figure, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return saved


def labels(figure: matplotlib.figure.Figure) -> list[str]:
    """Of the curves in the last panel, which bears the legend."""
    return figure.axes[-1].get_legend_handles_labels()[1]


def test_adaptation_figure_shows_methods_and_published_figures(
    tmp_path: Path, figures: list[matplotlib.figure.Figure]
) -> None:
    curves = {"MAML": adaptation([1, 2]), "Reptile": adaptation([3])}
    plot_adaptation(curves, published_returns("point_mass"), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    assert set(labels(figures[0])) == {
        "MAML",
        "Reptile",
        "MAML, published",
        "oracle, published",
        "random, published",
    }


def test_every_published_method_is_shown(tmp_path: Path, figures: list[matplotlib.figure.Figure]) -> None:
    plot_adaptation({"MAML": adaptation([1, 2])}, published_returns("ant_dir"), tmp_path / "a.png")
    methods = {"MAML", "MAML with 20 episodes", "oracle", "pretrained", "random"}
    assert set(labels(figures[0])) == {"MAML", *(f"{method}, published" for method in methods)}


def comparison(scores: bool) -> pd.DataFrame:
    """An oracle that takes no step, and MAML that takes one."""
    rows = [("oracle", 0, -2.0, 1.0), ("MAML", 0, -40.0, 0.5), ("MAML", 1, -12.0, 0.9)]
    table = pd.DataFrame(rows, columns=["method", "gradient_step", "mean", "normalised"])
    table["normalised"] = table["normalised"] if scores else float("nan")
    table["low"], table["high"] = table["mean"] - 3, table["mean"] + 3
    table["normalised_low"], table["normalised_high"] = table["normalised"] - 0.1, table["normalised"] + 0.1
    return table


@pytest.mark.parametrize("scores", [False, True])
def test_comparison_figure(tmp_path: Path, figures: list[matplotlib.figure.Figure], scores: bool) -> None:
    plot_comparison(comparison(scores), published_returns("point_mass"), None, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 0
    (figure,) = figures
    assert len(figure.axes) == 1 + scores
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert np.asarray(lines["oracle"].get_xydata()).tolist() == [[0, -2], [1, -2]]  # a level
    assert np.asarray(lines["MAML"].get_xydata()).tolist() == [[0, -40], [1, -12]]
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"oracle", "MAML"} <= shown
    assert "oracle, published" in lines
    if scores:
        line = next(x for x in figure.axes[1].get_lines() if x.get_label() == "MAML")
        assert np.asarray(line.get_xydata()).tolist() == [[0, 0.5], [1, 0.9]]


def test_more_methods_than_colours_are_told_apart(
    tmp_path: Path, figures: list[matplotlib.figure.Figure]
) -> None:
    parts = [comparison(True).query("method == 'MAML'").assign(method=str(i)) for i in range(12)]
    plot_comparison(pd.concat(parts), None, None, tmp_path / "c.png")
    lines = figures[0].axes[0].get_lines()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 12
