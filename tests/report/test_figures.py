"""What the charts of a report hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from directories import adaptation, config, metrics, untrained, write_evaluation, write_run, write_study

from meta_rl.charts.chart import Chart, Series
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.report.ablation_figures import ablation_charts
from meta_rl.report.choose import collect
from meta_rl.report.evaluation_figures import adaptation_charts, task_axis, task_charts
from meta_rl.report.groups import Group, find_factors, group_runs, reference_groups
from meta_rl.report.normalisation import Published, score_samples
from meta_rl.report.score_figures import score_charts
from meta_rl.report.timing import timing_charts
from meta_rl.report.training_figures import learning_charts, second_order_charts


def chosen(root: Path) -> dict[str, Group]:
    """By method, the groups in a directory of runs."""
    groups = group_runs(collect([root], "evaluation")[0])
    return reference_groups(groups, find_factors(groups))


def ablations(root: Path) -> dict[str, Chart]:
    groups = group_runs(collect([root], "evaluation")[0])
    factors = find_factors(groups)
    charts = ablation_charts(groups, reference_groups(groups, factors), factors)
    return {chart.key: chart for chart in charts}


def test_learning_curves_against_everything(tmp_path: Path) -> None:
    charts = learning_charts(chosen(write_study(tmp_path)), "")
    assert [chart.key for chart in charts] == ["learning_iterations", "learning_steps", "learning_time"]
    for chart, x in zip(charts, ([1, 2, 3, 4], [0.001, 0.002, 0.003, 0.004], None), strict=True):
        after, before = chart.panels
        assert [s.name for s in after.series] == ["MAML", "FOMAML"]
        assert after.series[0].data["y"].tolist() == pytest.approx([2.5, 3.5, 4.5, 5.5])
        assert before.series[0].data["y"].tolist() == pytest.approx([-7.5, -6.5, -5.5, -4.5])
        if x:
            assert after.series[0].data["x"].tolist() == pytest.approx(x)
    assert charts[2].panels[0].series[1].data["x"].tolist() == pytest.approx(np.array([2, 4, 6, 8]) / 60)
    assert "Each point averages" not in charts[0].caption


def test_policies_without_training_have_no_learning_curves(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "random", [[1.0]], untrained())
    assert learning_charts(chosen(tmp_path), "") == []
    assert timing_charts(chosen(tmp_path)) == []


def test_ablation_over_two_batch_sizes(tmp_path: Path) -> None:
    for method, more in (("MAML", 100.0), ("FOMAML", 0.0)):
        for fast in (5, 20, 40):
            for meta in (10, 20):
                settings = config(method, fast_batch_size=fast, meta_batch_size=meta)
                write_run(
                    tmp_path / f"{method}-{fast}-{meta}", settings, metrics(12, more + fast + meta / 100)
                )
    charts = ablations(tmp_path)
    assert set(charts) == {
        f"ablation_{name}{kind}"
        for name in ("fast_batch_size", "meta_batch_size")
        for kind in ("", "_curves")
    }
    curves = charts["ablation_fast_batch_size_curves"].panels
    assert [panel.title for panel in curves] == [f"fast_batch_size {n}" for n in (5, 20, 40)]
    assert [s.name for s in curves[0].series] == ["MAML", "FOMAML"]
    assert curves[2].series[0].data["y"].tolist()[0] == pytest.approx(
        1 + 140.2
    )  # meta-batch 20, the reference
    final = charts["ablation_fast_batch_size"].panels
    assert [panel.title for panel in final] == ["meta_batch_size 10", "meta_batch_size 20"]
    line = final[0].series[1].data
    assert line["x"].tolist() == ["5", "20", "40"]
    assert line["y"].tolist() == pytest.approx([7.5 + fast + 0.1 for fast in (5, 20, 40)])  # mean of 3 to 12
    assert "mean of the last 10 iterations" in charts["ablation_fast_batch_size"].caption


def test_ablations_use_evaluations_if_all_have_one(tmp_path: Path) -> None:
    for rate, after in ((0.1, 3.0), ([0.5, 0.25], 5.0)):
        run = write_run(tmp_path / str(after), config(inner_lr=rate))
        write_evaluation(run / "evaluation", [[0.0, after], [0.0, after + 2]])
    chart = ablations(tmp_path)["ablation_inner_lr"]
    (panel,) = chart.panels
    assert (panel.scale, panel.x) == ("category", "inner_lr")
    assert panel.series[0].data["x"].tolist() == ["0.1", "0.5, 0.25"]
    assert panel.series[0].data["y"].tolist() == [4, 6]
    assert chart.caption.startswith("Return on unseen tasks after one gradient step")


def test_the_second_order_term_of_those_who_have_it(tmp_path: Path) -> None:
    table = metrics(3, second_order_norm=[0.5, np.nan, 0.3], second_order_cosine=[0.9, np.nan, 0.8])
    write_run(tmp_path / "maml", config(max_steps=3), table)
    write_run(tmp_path / "reptile", config("Reptile"))
    groups = chosen(tmp_path)
    norm, cosine = second_order_charts(groups)
    assert [s.name for s in norm.panels[0].series] == ["MAML"]
    assert norm.panels[0].series[0].data[["x", "y"]].to_numpy().tolist() == [[1, 0.5], [3, 0.3]]
    assert cosine.panels[0].series[0].data["y"].tolist() == [0.9, 0.8]
    assert second_order_charts({"Reptile": groups["Reptile"]}) == []


def test_intervals_end_where_values_are_possible(tmp_path: Path) -> None:
    for seed, norm in enumerate((0.1, 0.2, 0.9), 1):
        table = metrics(4, second_order_norm=norm, second_order_cosine=1 - norm)
        write_run(tmp_path / str(seed), config(seed=seed), table)
    norm, cosine = second_order_charts(chosen(tmp_path))
    assert norm.panels[0].series[0].data["low"].tolist() == [0.0] * 4
    assert norm.panels[0].series[0].data["high"].min() > 1
    assert cosine.panels[0].series[0].data["high"].tolist() == [1.0] * 4


def test_seconds_and_their_ratio_to_maml(tmp_path: Path) -> None:
    (chart,) = timing_charts(chosen(write_study(tmp_path)))
    seconds, ratio = chart.panels
    assert seconds.series[1].data["x"].tolist() == ["sampling", "update", "both"]
    assert seconds.series[1].data["y"].tolist() == [0.5, 1.5, 2]
    assert [(s.name, s.data["y"].tolist()) for s in ratio.series] == [("FOMAML", pytest.approx([2, 2, 2]))]


def by_name(series: tuple[Series, ...]) -> dict[str, Series]:
    return {s.name: s for s in series}


def test_adaptation_with_levels_and_published_results(tmp_path: Path) -> None:
    write_study(tmp_path, ["MAML"])
    oracle = write_run(tmp_path / "oracle", config("Oracle"))
    write_evaluation(oracle / "evaluation", [[7.0], [8.0], [9.0]])
    rows = [("maml", step, 5.0 + step, 1.0, 40) for step in range(3)] + [("oracle", 0, 9.0, 0.5, 40)]
    names = ["method", "gradient_steps", "mean_return", "standard_error", "tasks"]
    published = Published(returns=pd.DataFrame(rows, columns=names))
    (chart,) = adaptation_charts(chosen(tmp_path), published, ScoreRange(0.0, 10.0))
    returns, normalised = (by_name(panel.series) for panel in chart.panels)
    assert returns["MAML"].data["y"].tolist() == pytest.approx([1, 10.85])  # seeds: 10.9 and 10.8
    assert returns["MAML"].data["note"].tolist() == ["2 seeds"] * 2
    assert normalised["MAML"].data["y"].tolist() == pytest.approx([0.1, 1.085])
    assert returns["oracle"].kind == "level"
    assert returns["oracle"].data["note"].tolist() == ["1 seed, interval over 3 tasks"]
    assert returns["oracle"].data["high"].tolist() == pytest.approx([8 + 4.3027 / 3**0.5], abs=1e-3)
    assert returns["MAML, published"].data["x"].tolist() == [0, 1]  # not further than our own
    assert returns["oracle, published"].kind == "level"
    assert set(normalised) == {"MAML", "oracle"}


def test_return_on_each_task(tmp_path: Path) -> None:
    (chart,) = task_charts(chosen(write_study(tmp_path, ["MAML"])))
    data = chart.panels[0].series[0].data
    assert data["x"].tolist() == pytest.approx([0.1, 0.5, 0.5])  # distances of the goals, in order
    assert data["note"].tolist() == ["task 1", "task 0", "task 2"]
    assert data["y"].tolist() == pytest.approx([10.85, 9.85, 11.85])


def test_what_tells_tasks_apart() -> None:
    def axis(tasks: pd.DataFrame) -> tuple[list[float] | list[str], str]:
        x, label = task_axis(tasks)
        return x.tolist(), label

    tasks = adaptation([[1.0], [1.0], [1.0]])[["goal_x", "goal_y", "start_x", "start_y"]]
    moved = tasks.assign(start_x=0.3, start_y=0.0)
    assert axis(moved)[0] == pytest.approx([0.4, 0.10**0.5, 0.8])
    directions = pd.DataFrame({"direction": [1.0, -1.0, 1.0, 1.0]})
    assert axis(directions) == (["1", "-1", "1", "1"], "direction")
    speeds = pd.DataFrame({"fixed": [0.0] * 4, "goal_velocity": [0.1, 0.7, 0.3, 1.0]})
    assert axis(speeds) == ([0.1, 0.7, 0.3, 1.0], "goal velocity")
    assert axis(pd.DataFrame({"fixed": [0.0, 0.0]})) == ([0, 1], "task")


def test_categories_are_in_order(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", config())
    table = adaptation([[5.0], [6.0]]).drop(columns=["goal_x", "goal_y", "start_x", "start_y"])
    table.insert(1, "direction", [1.0, -1.0])
    (run / "evaluation").mkdir()
    table.to_csv(run / "evaluation" / "adaptation.csv", index=False)
    (panel,) = task_charts(chosen(tmp_path))[0].panels
    assert panel.scale == "category"
    assert panel.series[0].data[["x", "y"]].to_numpy().tolist() == [["-1", 6.0], ["1", 5.0]]


def test_charts_of_scores(tmp_path: Path) -> None:
    groups = chosen(write_study(tmp_path))
    samples = {
        **score_samples(groups, ScoreRange(0.0, 20.0)),
        "oracle": np.ones((1, 3)),
        "random": np.zeros((1, 3)),
    }
    aggregates, profiles, improvement = score_charts(samples)
    assert [panel.y.partition(" of")[0] for panel in aggregates.panels] == [
        "IQM",
        "mean",
        "median",
        "optimality gap",
    ]
    assert aggregates.panels[1].series[0].data["y"].tolist() == pytest.approx([10.85 / 20])
    assert aggregates.panels[1].series[0].data["note"].tolist() == ["2 seeds"]
    curve = profiles.panels[0].series[0].data
    assert curve["x"].tolist()[0] == pytest.approx(9.8 / 20)
    assert curve["y"].tolist()[0] == pytest.approx(5 / 6)  # all but the lowest itself
    level, fomaml = improvement.panels[0].series
    assert fomaml.data[["x", "y"]].to_numpy().tolist() == [["FOMAML", 1.0]]
    assert level.kind == "level"
    assert score_charts({"MAML": np.zeros((2, 3))}) == []
