"""Adaptation curves in the middle of training."""

from typing import Any

import pandas as pd
import pytest

from meta_rl.evaluation.command import main as evaluate
from meta_rl.evaluation.while_training import AdaptationCurve

CLASS = "meta_rl.evaluation.while_training.AdaptationCurve"
NUMBERS = {"tasks": 3, "gradient_steps": 2, "episodes": 4, "seed": 5}
WORDS = ["--num_tasks=3", "--gradient_steps=2", "--episodes=4", "--seed=5"]


def watched(steps: int, **numbers: int) -> dict[str, Any]:
    callback = {"class_path": CLASS, "init_args": {**NUMBERS, **numbers}}
    return {"max_steps": steps, "callbacks": [callback]}


def test_curves_are_those_of_evaluate_and_change_nothing(lab: Any) -> None:
    assert lab.train("--name=watched", trainer=watched(4, every=2)) == 0
    assert lab.train("--name=plain", "--trainer.max_steps=4") == 0
    rows = pd.DataFrame(lab.metrics("watched")).apply(pd.to_numeric)
    curves = rows.filter(like="eval_return_")
    assert list(curves) == ["eval_return_0", "eval_return_1", "eval_return_2"]
    assert curves.notna().all(1).tolist() == [False, True, False, True]
    checkpoint = lab.runs / "watched/checkpoints/last.ckpt"
    assert evaluate(["--checkpoint", str(checkpoint), *WORDS]) == 0
    table = pd.read_csv(lab.runs / "watched/evaluation/adaptation.csv")
    expected = table.groupby("gradient_step")["return_mean"].mean()
    assert curves.iloc[-1].tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    plain = pd.DataFrame(lab.metrics("plain")).apply(pd.to_numeric)
    pd.testing.assert_frame_equal(rows.drop(columns=list(curves)), plain)


def test_a_curve_that_diverges_does_not_stop_training(lab: Any, capsys: pytest.CaptureFixture) -> None:
    model = {"class_path": "meta_rl.algorithms.FOMAML", "init_args": {"inner_lr": [0.1, 1e38]}}
    assert lab.train(trainer=watched(2, every=1, gradient_steps=3), model=model) == 0
    assert "adaptation to test tasks diverged" in capsys.readouterr().err
    assert not any("eval_return_0" in row for row in lab.metrics())


@pytest.mark.parametrize("number", ["every", "tasks", "gradient_steps", "episodes", "seed"])
def test_numbers_out_of_range_are_one_line(lab: Any, number: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ValueError, match=f"{number} must"):
        AdaptationCurve(**{number: -1})
    assert lab.train(trainer=watched(2, **{number: -1})) == 2
    error = capsys.readouterr().err
    assert f"{number} must" in error
    assert error.count("\n") == 1
