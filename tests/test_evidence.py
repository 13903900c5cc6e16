"""The evidence's tables and verdicts (results/evidence.py) against its protocol, by hand."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_ind

sys.path.append(str(Path(__file__).parents[1] / "results"))

import evidence
import evidence_beside as beside
import evidence_figures as figures
import evidence_reports as reports


def kept(folder: Path, name: str, curve: list[float], after: float | None, *outcomes: str) -> None:
    """A run on ant_dir as results/collect.sh keeps it; on its two tasks it returns `after` -+ 10."""
    run = folder / "evidence_1_maml_fomaml" / name
    (run / "evaluation").mkdir(parents=True)
    seed = int(name.split("-")[0].removeprefix("seed"))
    (run / "config.yaml").write_text(f"name: {name}\nseed_everything: {seed}\n")
    starts = [{"command": "", "commit": "abc", "outcome": outcome} for outcome in outcomes or ("done",)]
    (run / "run.json").write_text(json.dumps({"starts": starts}))
    steps = np.arange(1, len(curve) + 1)
    columns = {"step": steps, "env_steps": steps * 1e6, "return_post": curve}
    columns |= {"second_order_norm": 0.5, "second_order_cosine": 0.75}
    text = pd.DataFrame({**columns, "time_sampling": 2700.0, "time_update": 900.0}).to_csv(index=False)
    (run / "metrics.csv.gz").write_bytes(gzip.compress(text.encode()))
    if after is not None:
        returns = [0.0, 6.0, after - 10, after + 10]
        table = {"task": [0, 1, 0, 1], "gradient_step": [0, 0, 1, 1], "return_mean": returns}
        pd.DataFrame(table).to_csv(run / "evaluation/adaptation.csv", index=False)


def test_a_run_by_hand(tmp_path: Path) -> None:
    # A score of 0.8 is a return of 3.11 + 0.8 * (524.8 - 3.11) = 420.46.
    kept(tmp_path, "seed11-maml_ant_dir", [0.0] + [430.0] * 9 + [420.0] + [435.0] * 4, 524.8)
    kept(tmp_path, "seed12-maml_ant_dir", [400.0] * 15, 3.11)
    kept(tmp_path, "seed13-maml_ant_dir", [0.0] * 3, None, "stopped", "failed")
    kept(tmp_path, "seed14-maml_ant_dir", [0.0] * 3, None, "stopped")
    table = evidence.runs_table(tmp_path)
    assert list(table["seed"]) == [11, 12, 13]  # the fourth is not finished
    assert table["score"].tolist() == pytest.approx([1, 0, 0])
    first = table.iloc[0]
    assert (first["return_0"], first["return_1"]) == pytest.approx((3, 524.8))
    assert first["half_width_1"] == pytest.approx(12.7062 * 10, rel=1e-5)  # two tasks
    assert (first["million_steps"], first["hours"]) == (15, 15)
    reached = [f"{name}_to_0.8" for name in ("iterations", "million_steps", "hours")]
    assert first[reached].tolist() == [11, 11, 11]
    assert first[["second_order_norm", "second_order_cosine"]].tolist() == [0.5, 0.75]
    assert table["million_steps_to_0.8"].isna().tolist() == [False, True, True]


def test_a_failed_run_must_not_go_on(tmp_path: Path) -> None:
    kept(tmp_path, "seed11-maml_ant_dir", [0.0] * 3, 3.11, "failed", "done")
    with pytest.raises(SystemExit, match="seed11-maml_ant_dir: went on after it had failed"):
        evidence.runs_table(tmp_path)


def looks(maml: np.ndarray, fomaml: np.ndarray) -> pd.DataFrame:
    rows = [
        {"family": "ant_dir", "method": method, "seed": seed, "score": score}
        for method, sample in (("maml", maml), ("fomaml", fomaml))
        for seed, score in enumerate(sample, 11)
    ]
    return evidence.verdicts_table(pd.DataFrame(rows))


SPREAD = np.array([-0.03, 0.01, 0.02, 0.0, 0.01, -0.01, 0.02, -0.02])


def test_there_is_no_look_before_four_seeds_of_both() -> None:
    assert looks(1 + SPREAD[:4], 1 + SPREAD[:3]).empty
    assert len(looks(1 + SPREAD[:7], 1 + SPREAD[:7])) == 1
    assert len(looks(1 + SPREAD, 1 + SPREAD)) == 2


def test_the_levels_of_the_looks() -> None:
    table = looks(1 + SPREAD, 0.98 + SPREAD)
    for (_, row), seeds, level in zip(table.iterrows(), (4, 8), (0.02, 0.03), strict=True):
        a, b = 0.98 + SPREAD[:seeds], 1 + SPREAD[:seeds]
        welch = ttest_ind(a, b, equal_var=False)
        inner = welch.confidence_interval(1 - 2 * level)
        outer = welch.confidence_interval(1 - level)
        assert (row["low"], row["high"]) == pytest.approx((inner.low, inner.high))
        assert (row["low_outer"], row["high_outer"]) == pytest.approx((outer.low, outer.high))
        assert (row["seeds"], row["level"], row["verdict"]) == (seeds, level, "equivalent")


def test_a_verdict_of_the_first_look_stands() -> None:
    later = np.array([0.0] * 4 + [0.6] * 4)
    assert list(looks(1 + SPREAD, 0.7 + SPREAD + later)["verdict"]) == ["worse", "worse"]
    assert list(looks(1 + SPREAD, 1 + 20 * SPREAD)["verdict"]) == ["undecided", "undecided"]


def test_learning_curves_meet_at_equal_environment_steps(tmp_path: Path) -> None:
    kept(tmp_path, "seed11-maml_ant_dir", [3.11] * 10 + [524.8] * 10, 524.8)
    kept(tmp_path, "seed12-maml_ant_dir", [3.11] * 15, 3.11)
    kept(tmp_path, "seed11-fomaml_ant_dir", [524.8] * 20, 524.8)
    chart = figures.learning_chart(evidence.runs_table(tmp_path), tmp_path)
    maml, fomaml = chart.panels[0].series
    assert (maml.name, fomaml.name) == ("MAML", "FOMAML")
    assert (maml.data["x"].iloc[0], maml.data["x"].iloc[-1]) == (10, 15)  # up to the shorter run's end
    ends = maml.data["y"].iloc[[0, -1]].tolist()
    assert ends == pytest.approx([0, 0.25])  # in the end one of two seeds has learned, half of the window ago
    assert maml.data["note"].iloc[0] == "2 seeds"
    assert maml.data["low"].isna().all()
    assert fomaml.data["y"].tolist() == pytest.approx([1] * len(fomaml.data))


def test_adaptation_by_hand(tmp_path: Path) -> None:
    for seed, after in ((11, 3.11), (12, 524.8), (13, 524.8)):
        kept(tmp_path, f"seed{seed}-fomaml_ant_dir", [0.0] * 12, after)
    runs = evidence.runs_table(tmp_path).reindex(
        columns=["family", "method", "seed", *[f"return_{k}" for k in range(4)]]
    )
    ((series,),) = [panel.series for panel in figures.adaptation_chart(runs).panels]
    assert series.data["y"].tolist() == pytest.approx([(3 - 3.11) / 521.69, 2 / 3], abs=1e-4)
    half = 4.30265 * np.sqrt(1 / 3) / np.sqrt(3)  # t with 2 degrees of freedom; scores 0, 1, 1
    assert series.data["high"].iloc[1] == pytest.approx(2 / 3 + half, rel=1e-4)


def test_the_figure_of_verdicts_shows_the_latest_look() -> None:
    chart = figures.verdict_chart(looks(1 + SPREAD, 0.98 + SPREAD))
    difference, margin = chart.panels[0].series
    (row,) = difference.data.to_dict("records")
    assert row["y"] == pytest.approx(-0.02)
    assert row["note"] == "8 seeds each: equivalent"
    assert margin.data[["low", "high"]].to_numpy().tolist() == [[-0.1, 0.1]]


def of_two_methods(folder: Path, maml: list[int], fomaml: list[int]) -> pd.DataFrame:
    """Seeds whose mean of ten iterations reaches the score after so many iterations, or never within 40."""
    for method, when in (("maml", maml), ("fomaml", fomaml)):
        for seed, first in enumerate(when, 11):
            curve = [0.0] * (first - 1) + [524.8 * 10] * (40 - first + 1)
            kept(folder, f"seed{seed}-{method}_ant_dir", curve, 100.0 * (seed - 10))
    return evidence.runs_table(folder)


SECONDS = {"method": ["maml", "maml", "fomaml"], "seconds": [200.0, 160.0, 60.0]}
COSTS = pd.DataFrame({"family": "ant_dir", **SECONDS})


def test_experience_and_its_cost(tmp_path: Path) -> None:
    runs = of_two_methods(tmp_path, [20, 40], [10, 10])
    maml, fomaml = beside.experience_table(runs, COSTS).to_dict("records")
    assert (maml["reached"], maml["million_steps"], maml["fewest"], maml["most"]) == (2, 30, 20, 40)
    assert (maml["seconds_an_iteration"], maml["hours"]) == (180, 1.5)
    assert (fomaml["million_steps"], fomaml["hours"]) == (10, pytest.approx(1 / 6))
    (saved,) = beside.savings_table(runs, COSTS).to_dict("records")
    assert (saved["iteration"], saved["steps_value"]) == pytest.approx((3, np.sqrt(20 * 40) / 10))
    half = 12.7062 * np.log(2) / 2  # t with one degree of freedom; FOMAML's seeds agree
    assert np.log(saved["steps_high"] / saved["steps_value"]) == pytest.approx(half, rel=1e-4)
    assert saved["hours_low"] == pytest.approx(3 * saved["steps_low"])


def test_a_run_that_never_reaches_the_score_is_censored(tmp_path: Path) -> None:
    runs = of_two_methods(tmp_path, [20, 41, 41], [10, 12, 41])
    maml, fomaml = beside.experience_table(runs, COSTS).to_dict("records")
    assert (maml["reached"], maml["fewest"]) == (1, 20)
    assert np.isnan([maml["million_steps"], maml["most"], maml["hours"]]).all()
    assert (fomaml["reached"], fomaml["million_steps"]) == (2, 12)
    assert np.isnan(fomaml["most"])
    assert beside.savings_table(runs, COSTS).empty
    text = beside.experience_markdown(beside.experience_table(runs, COSTS), pd.DataFrame())
    assert "| ant_dir | MAML | 1 of 3 |  | 20.0 to never | 180.00 |  |" in text


def test_differences_on_two_scales(tmp_path: Path) -> None:
    runs = of_two_methods(tmp_path, [20, 20, 20], [20, 20]).assign(return_2=350.0, return_3=np.nan)
    table = beside.differences_table(runs, tmp_path)
    assert table["scale"].tolist() == ["published"] * 3
    assert table["difference"].tolist() == pytest.approx([(150 - 200) / 521.69, 0, 0], abs=1e-5)
    maml, fomaml = np.array([100.0, 200, 300]) / 521.69, np.array([100.0, 200]) / 521.69
    welch = ttest_ind(fomaml, maml, equal_var=False).confidence_interval(0.95)
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([welch.low, welch.high], rel=1e-3)

    kept(tmp_path, "seed11-oracle_ant_dir", [0.0] * 3, 0.0)
    random = tmp_path / "evidence_random" / "random_ant_dir" / "adaptation.csv"
    random.parent.mkdir(parents=True)
    pd.DataFrame({"task": [0, 1], "gradient_step": 0, "return_mean": [-200.0, -194.0]}).to_csv(random)
    oracle = evidence.runs_table(tmp_path)
    table = beside.differences_table(oracle.assign(return_2=0.0, return_3=0.0), tmp_path)
    own = table.query("scale == 'own' and step == 1")
    assert own["difference"].tolist() == pytest.approx([-50 / 200])  # from -197 to 3
    assert beside.differences_table(runs.query("method == 'maml'"), tmp_path).empty


def test_returns_on_goals_up_to_2(tmp_path: Path) -> None:
    assert beside.to_2_table(tmp_path).empty
    for run, after in {
        "1-maml": 100,
        "2-maml": 140,
        "1-fomaml": 90,
        "2-fomaml": 110,
        "1-oracle": 150,
    }.items():
        folder = tmp_path / f"evidence_1/seed1{run}_ant_vel/{beside.TO_2}"
        folder.mkdir(parents=True)
        returns = [0.0, 0.0, after, after] + [after + 5.0] * 4
        table = {"task": [0, 1] * 4, "gradient_step": np.repeat(range(4), 2), "return_mean": returns}
        pd.DataFrame(table).to_csv(folder / "adaptation.csv", index=False)
    table = beside.to_2_table(tmp_path)
    assert table[["step", "seeds_maml", "seeds_fomaml"]].values.tolist() == [[1, 2, 2], [2, 2, 2], [3, 2, 2]]
    assert table["maml"].tolist() == [120, 125, 125]
    assert table["difference"].tolist() == [-20, -20, -20]
    # Welch: variances 800 and 200, so a standard error of 500^0.5 with 1.4706 degrees of freedom.
    half = float(t.ppf(0.975, 500**2 / (400**2 + 100**2))) * 500**0.5
    assert table["high"].tolist() == pytest.approx([half - 20] * 3)
    assert beside.to_2_markdown(table).count("| 2, 2 | 125 | 105 | -20 (") == 2


def test_the_second_order_beside_who_wins(tmp_path: Path) -> None:
    runs = of_two_methods(tmp_path, [20, 20, 20], [20])
    runs.loc[runs["method"] == "maml", "second_order_norm"] = [0.9, 0.6, 0.3]  # scores rise
    (row,) = beside.second_order_table(runs).to_dict("records")
    assert (row["second_order_norm"], row["second_order_cosine"]) == pytest.approx((0.6, 0.75))
    assert (row["correlation"], row["difference"]) == pytest.approx((-1, (100 - 200) / 521.69), rel=1e-4)
    text = beside.second_order_markdown(beside.second_order_table(runs))
    assert text.endswith("| ant_dir | 3, 1 | 0.60 | 0.75 | -0.19 | -1.00 |")


def test_the_abstract_of_a_page() -> None:
    verdicts = looks(1 + SPREAD, 0.98 + SPREAD)
    text = reports.abstract("ant_dir", verdicts, pd.DataFrame())
    assert "with 8 seeds of each method, FOMAML against MAML after one gradient step: equivalent. " in text
    low, high = verdicts.iloc[-1][["low", "high"]]
    assert f"minus MAML's is -0.02 ({low:+.2f} to {high:+.2f}), and the margin is 0.1." in text
    seeds = {"seeds_maml": 3, "seeds_fomaml": 2, "difference": 0.071}
    rows = pd.DataFrame([{"family": "ant_vel", "scale": "published", "step": k, **seeds} for k in (1, 2)])
    text = reports.abstract("ant_vel", verdicts, rows)
    assert "no verdict before four seeds of each method. So far FOMAML's score minus MAML's is +0.07" in text
    assert text.endswith("with 2 and 3 seeds.")
