"""Intervals against tables, figures against what they must show, and the committed tables' round trip."""

import importlib.util
from pathlib import Path
from types import ModuleType

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

from meta_rl.plotting import plot_adaptation, plot_learning
from meta_rl.reference import published_returns
from meta_rl.statistics import summarise, summarise_adaptation, t_quantile


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


def adaptation(seeds: list[int], tasks: int = 4, steps: int = 3) -> pd.DataFrame:
    rows = [
        (seed, task, step, -10.0 + step + seed)
        for seed in seeds
        for task in range(tasks)
        for step in range(steps)
    ]
    return pd.DataFrame(rows, columns=["seed", "task", "gradient_step", "return_mean"])


def learning(seed: int, steps: int = 25) -> pd.DataFrame:
    step = np.arange(1, steps + 1)
    times = {"env_steps": 100 * step, "time_sampling": 0.1, "time_update": 0.2}
    return pd.DataFrame(
        {"step": step, "return_pre": -50.0 - seed, "return_post": -step / seed, "kl": 0.01, **times}
    )


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of what a figure shows, filled when it is saved."""
    shown: list[str] = []
    save = matplotlib.figure.Figure.savefig

    def savefig(figure: matplotlib.figure.Figure, *args: object, **kwargs: object) -> None:
        shown.extend(figure.axes[-1].get_legend_handles_labels()[1])
        save(figure, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return shown


def test_adaptation_figure_shows_methods_and_published_figures(tmp_path: Path, labels: list[str]) -> None:
    curves = {"MAML": adaptation([1, 2]), "Reptile": adaptation([3])}
    plot_adaptation(curves, published_returns("point_mass"), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 0
    assert set(labels) == {"MAML", "Reptile", "MAML, published", "oracle, published", "random, published"}


def test_learning_figure_shows_both_returns(tmp_path: Path, labels: list[str]) -> None:
    plot_learning({"MAML": [learning(1), learning(2)], "FOMAML": [learning(3)]}, tmp_path / "l.png")
    assert (tmp_path / "l.png").stat().st_size > 0
    assert labels == ["MAML, after adaptation", "MAML, before", "FOMAML, after adaptation", "FOMAML, before"]


@pytest.fixture
def collect() -> ModuleType:
    file = Path(__file__).parents[1] / "results/point_mass/collect.py"
    spec = importlib.util.spec_from_file_location("collect", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_runs(folder: Path) -> None:
    for algorithm in ("maml", "reptile"):
        for seed in (1, 2):
            run = folder / f"{algorithm}-origin05-seed{seed}"
            (run / "evaluation-20").mkdir(parents=True)
            learning(seed).to_csv(run / "metrics.csv", index=False)
            adaptation([seed]).drop(columns="seed").to_csv(run / "evaluation-20/adaptation.csv", index=False)
    (folder / "something-else").mkdir()


def test_results_are_rebuilt_from_the_committed_tables_alone(collect: ModuleType, tmp_path: Path) -> None:
    make_runs(tmp_path / "runs")
    out = tmp_path / "out"
    assert collect.main([str(tmp_path / "runs"), "--evaluations", "20", "--output", str(out)]) == 0
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    tables = {"learning.csv", "adaptation.csv"}
    assert written.keys() == {*tables, "summary.md", "adaptation-origin05.png", "learning-origin05.png"}
    for name in written.keys() - tables:
        (out / name).unlink()
    assert collect.main(["--output", str(out)]) == 0
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written


def test_collected_tables_by_hand(collect: ModuleType, tmp_path: Path) -> None:
    make_runs(tmp_path / "runs")
    collect.main([str(tmp_path / "runs"), "--evaluations", "20", "--output", str(tmp_path)])
    log = pd.read_csv(tmp_path / "learning.csv").query("algorithm == 'maml' and seed == 1")
    assert log["step"].tolist() == [10, 20, 25]
    assert log["env_steps"].tolist() == [1000, 2000, 2500]
    assert log["return_post"].tolist() == [-5.5, -15.5, -23.0]
    lines = (tmp_path / "summary.md").read_text().splitlines()
    # Seeds at -9 and -8: mean -8.5, std sqrt(0.5), so 12.706 * 0.5 = 6.35.
    assert "| MAML | 20 | 2 | -8.50 ± 6.35 | -7.50 ± 6.35 | -6.50 ± 6.35 | 0.0 | 0.30 |" in lines
    assert any(line.startswith("| MAML, published |") and "-11.68 ± 1.12" in line for line in lines)


def test_collecting_from_no_runs_is_an_error(collect: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .* lacks runs"):
        collect.main([str(tmp_path), "--output", str(tmp_path / "out")])
