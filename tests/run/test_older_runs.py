"""Runs that an earlier version wrote load, are evaluated, go on and are reported."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from meta_rl.evaluation import command as evaluate_cli
from meta_rl.report import command as report_cli

FIXTURES = Path(__file__).parents[1] / "fixtures"
CLOSE = 1e-3  # relative: other machines round differently
PHYSICS = 0.05  # where rounding grows in the contacts of a robot
CLOCK = ("time_", "memory", "env_steps_per_s")


@pytest.fixture
def runs(lab: Any) -> Path:
    for name in ("finished", "unfinished"):
        shutil.copytree(FIXTURES / name, lab.runs / name)
    return lab.runs


def assert_alike(found: pd.DataFrame, expected: pd.DataFrame, close: float = CLOSE) -> None:
    columns = [name for name in expected if not name.startswith(CLOCK)]
    pd.testing.assert_frame_equal(found[columns], expected[columns], rtol=close, atol=close)


def resume(lab: Any, name: str, options: Sequence[str] = ()) -> int:
    from meta_rl.run.command import main

    return main([f"--config={lab.runs / name / 'config.yaml'}", "--ckpt_path=auto", *options])


def test_a_finished_run_is_evaluated_with_the_same_returns(runs: Path) -> None:
    checkpoint = str(runs / "finished/checkpoints/last.ckpt")
    few = ["--num_tasks=5", "--episodes=4", "--gradient_steps=2"]
    assert evaluate_cli.main(["--checkpoint", checkpoint, *few, "--output", "again"]) == 0
    expected = pd.read_csv(FIXTURES / "finished/evaluation/adaptation.csv")
    assert_alike(pd.read_csv("again/adaptation.csv"), expected)


def test_a_finished_run_has_nothing_left_to_do(
    lab: Any, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resume(lab, "finished") == 0
    assert "runs/finished: finished already, 4 iterations" in capsys.readouterr().out


def test_an_unfinished_run_ends_as_if_it_had_not_been_killed(lab: Any, runs: Path) -> None:
    assert resume(lab, "unfinished") == 0
    whole = pd.read_csv(FIXTURES / "unfinished/metrics-of-the-whole-run.csv")
    assert_alike(pd.read_csv(runs / "unfinished/metrics.csv"), whole, PHYSICS)


def test_both_are_reported(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_cli.main(["runs/finished", "--output", "report"]) == 0
    assert capsys.readouterr().out.endswith("runs: 1\n")
    assert report_cli.main(["runs/unfinished"]) == 2
    assert "partial: 5 of 6 iterations" in capsys.readouterr().err
