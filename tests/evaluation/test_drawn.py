"""The figures of evaluate.py: what they show, against the tables they are drawn from."""

from pathlib import Path

import pandas as pd
import pytest

from helpers import adaptation
from meta_rl.charts.chart import Panel, Series
from meta_rl.charts.looks import looks
from meta_rl.evaluation.figures import adaptation_chart, comparison_chart, plot_adaptation, plot_comparison
from meta_rl.evaluation.published import published_returns


def by_name(panel: Panel) -> dict[str, Series]:
    return {series.name: series for series in panel.series}


def test_adaptation_shows_methods_and_published_figures() -> None:
    curves = {"MAML": adaptation([1, 2]), "Reptile": adaptation([3])}
    (panel,) = adaptation_chart(curves, published_returns("point_mass")).panels
    found = by_name(panel)
    published = {f"{method}, published" for method in ("MAML", "oracle", "random")}
    assert set(found) == {"MAML", "Reptile"} | published
    maml = found["MAML"].data
    assert maml["y"].tolist() == [-8.5, -7.5, -6.5]
    assert maml["high"].tolist() == pytest.approx([y + 12.7062 * 0.5 for y in maml["y"]], rel=1e-4)
    assert found["Reptile"].data["low"].isna().all()  # a single seed
    assert found["MAML, published"].data["x"].tolist() == [0, 1, 2]  # not further than our own
    assert found["oracle, published"].kind == "level"


def test_every_published_method_is_shown() -> None:
    (panel,) = adaptation_chart({"MAML": adaptation([1, 2])}, published_returns("ant_dir")).panels
    methods = {"MAML", "MAML with 20 episodes", "oracle", "pretrained", "random"}
    assert set(by_name(panel)) == {"MAML", *(f"{method}, published" for method in methods)}


def comparison(scores: bool) -> pd.DataFrame:
    """An oracle that takes no step, and MAML that takes one."""
    rows = [("oracle", 0, -2.0, 1.0), ("MAML", 0, -40.0, 0.5), ("MAML", 1, -12.0, 0.9)]
    table = pd.DataFrame(rows, columns=["method", "gradient_step", "mean", "normalised"])
    table["normalised"] = table["normalised"] if scores else float("nan")
    table["low"], table["high"] = table["mean"] - 3, table["mean"] + 3
    table["normalised_low"], table["normalised_high"] = table["normalised"] - 0.1, table["normalised"] + 0.1
    return table


@pytest.mark.parametrize("scores", [False, True])
def test_comparison(scores: bool) -> None:
    panels = comparison_chart(comparison(scores), published_returns("point_mass"), None).panels
    assert len(panels) == 1 + scores
    found = by_name(panels[0])
    assert (found["oracle"].kind, found["oracle"].data["y"].tolist()) == ("level", [-2])
    assert found["MAML"].data[["x", "y", "low"]].to_numpy().tolist() == [[0, -40, -43], [1, -12, -15]]
    assert "oracle, published" in found
    if scores:
        assert by_name(panels[1])["MAML"].data[["x", "y"]].to_numpy().tolist() == [[0, 0.5], [1, 0.9]]


def test_more_methods_than_colours_are_told_apart() -> None:
    parts = [comparison(True).query("method == 'MAML'").assign(method=str(i)) for i in range(12)]
    found = looks(comparison_chart(pd.concat(parts), None, None))
    assert len({(look.colour, look.shape) for look in found.values()}) == 12


def test_both_are_drawn(tmp_path: Path) -> None:
    plot_adaptation({"MAML": adaptation([1, 2])}, None, tmp_path / "a.png")
    plot_comparison(comparison(True), None, None, tmp_path / "c.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("a.png", "c.png"))
