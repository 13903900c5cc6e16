"""Where scores 0 and 1 lie, and scores by them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from directories import by_method, config, untrained, write_evaluation, write_run, write_study

from meta_rl.evaluation.scores import ScoreRange
from meta_rl.report.choose import collect
from meta_rl.report.normalisation import (
    Published,
    find_published,
    find_score_range,
    score_samples,
)

NAMES = ["method", "gradient_steps", "mean_return", "standard_error", "tasks"]
PUBLISHED = pd.DataFrame([("oracle", 0, -2.0, 0.1, 40), ("random", 0, -82.0, 1.0, 40)], columns=NAMES)


def test_the_scale_of_the_runs(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "random", [[-90.0, 5.0], [-70.0, 5.0]], untrained())
    write_evaluation(write_run(tmp_path / "oracle", config("Oracle")) / "evaluation", [[-3.0], [-1.0]])
    scale, sentence = find_score_range(by_method(tmp_path), Published(PUBLISHED))
    assert scale == ScoreRange(-80, -2)
    assert "(-80), 1 that of the oracle (-2), of these runs" in sentence


def test_the_published_scale(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path))
    assert find_score_range(groups, Published(PUBLISHED))[0] == ScoreRange(-82, -2)


def test_no_scale(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "random", [[5.0]], untrained())
    scale, sentence = find_score_range(by_method(tmp_path), Published())
    assert scale is None
    assert sentence.endswith("an evaluated oracle is missing among the runs.")
    write_evaluation(write_run(tmp_path / "oracle", config("Oracle")) / "evaluation", [[4.0]])
    scale, sentence = find_score_range(by_method(tmp_path), Published(PUBLISHED))
    assert scale is None
    assert sentence.endswith("the oracle is no better than random.")


def test_scores_by_hand() -> None:
    found = ScoreRange(random=-40, oracle=-10).normalise(np.array([[-40.0, -10.0], [0.0, -70.0]]))
    assert found.tolist() == [[0, 1], [pytest.approx(4 / 3), -1]]


def test_scores_after_one_step(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path))
    found = score_samples(groups, ScoreRange(0.0, 20.0))
    assert found["MAML"] == pytest.approx(np.array([[9.9, 10.9, 11.9], [9.8, 10.8, 11.8]]) / 20)


def test_published_results_of_the_family(tmp_path: Path) -> None:
    comparable = write_run(tmp_path / "a", config(horizon=100))
    write_evaluation(comparable / "evaluation", [[1.0], [2.0]])
    (run,), _ = collect([comparable], "evaluation")
    found = find_published([run])
    assert found.returns is not None
    assert found.returns.query("method == 'oracle'")["mean_return"].tolist() == [-2.29]
    run.env["init_args"]["horizon"] = 5
    assert find_published([run]).returns is None
    run.env["init_args"]["nonsense"] = 5
    assert "published results left out, the task family fails: " in find_published([run]).problem
    run.env["class_path"] = "os.system"
    assert find_published([run]).problem == ""
