"""Runs on robots in MuJoCo: what fails in a simulation, how many threads simulate, and going on later."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from meta_rl.envs.mujoco_batch import ASSETS
from meta_rl.evaluation import command as evaluate_cli

FEW = ["--num_tasks=1", "--episodes=1", "--gradient_steps=1"]


def same(lab: Any, one: str, other: str) -> bool:
    """Whether two runs have the same metrics and weights to the last bit."""
    weights = [lab.checkpoint(name)["state_dict"] for name in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    equal = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    return equal and lab.metrics(one) == lab.metrics(other)


def test_simulations_that_fail_are_counted_and_training_goes_on(
    lab: Any, ant: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    ant["env"]["class_path"], ant["fast_batch_size"] = "plugins.Unstable", 4
    assert lab.train("--trainer.enable_progress_bar=false", data=ant) == 0
    rows = lab.metrics()
    assert [float(row["diverged"]) for row in rows] == [6, 6, 6]  # in both phases
    assert [float(row["episode_length_pre"]) for row in rows] == [(3 * 1 + 5 * 5) / 8] * 3
    assert all(math.isfinite(float(value)) for row in rows for value in row.values() if value)
    assert all(value.isfinite().all() for value in lab.checkpoint()["state_dict"].values())
    output = capfd.readouterr()
    assert output.err.count("\n") == 3  # a warning an iteration
    assert output.err.count("3, first task 0, episode 0, step 1: simulation diverged") == 3
    assert "Nan" not in output.out
    assert {path.name for path in lab.path.iterdir()} == {"tiny.yaml", "runs"}  # no MUJOCO_LOG.TXT


def test_none_fails_by_itself(lab: Any, ant: Any) -> None:
    assert lab.train(data=ant) == 0
    counts = {float(row["diverged"]) for row in lab.metrics()}
    assert counts == {0}


@pytest.mark.parametrize("env", ["AntDirection", "AntBody", "HalfCheetahVelocity"])
def test_the_same_run_at_any_number_of_threads(lab: Any, ant: Any, env: str) -> None:
    ant["env"]["class_path"] = f"meta_rl.envs.{env}"
    for name, threads in {"one": 1, "three": 3}.items():
        assert lab.train(f"--name={name}", f"--data.env.num_threads={threads}", data=ant) == 0
    assert same(lab, "one", "three")


def test_a_run_resumed_with_other_threads_equals_one_that_never_stopped(lab: Any, ant: Any) -> None:
    assert lab.train("--name=whole", "--trainer.max_steps=4", data=ant) == 0
    parts = ["--name=parts", "--data.env.num_threads=2"]
    assert lab.train(*parts, "--trainer.max_steps=2", data=ant) == 0
    assert lab.train("--name=parts", "--ckpt_path=last", "--trainer.max_steps=4", data=ant) == 0
    assert same(lab, "whole", "parts")


def test_what_decides_the_physics_is_kept_when_resuming(lab: Any, ant: Any, refused: Any) -> None:
    assert lab.train(data=ant) == 0
    for override in ("preset=gymnasium", "frame_skip=2"):
        message = refused(f"--data.env.{override}", "--ckpt_path=last", "--trainer.max_steps=5", data=ant)
        assert f"was trained with data.env.init_args.{override.partition('=')[0]}=" in message


def test_evaluation_takes_the_threads_that_this_machine_has(lab: Any, ant: Any) -> None:
    assert lab.train("--data.env.num_threads=4", data=ant) == 0
    for name in ("first", "again"):
        checkpoint = lab.runs / "tiny/checkpoints/last.ckpt"
        assert evaluate_cli.main([f"--checkpoint={checkpoint}", *FEW, f"--output={name}"]) == 0
    first, again = (pd.read_csv(f"{name}/adaptation.csv") for name in ("first", "again"))
    pd.testing.assert_frame_equal(first, again)
    assert first["gradient_step"].tolist() == [0, 1]
    assert evaluate_cli.main([f"--config={lab.path / 'tiny.yaml'}", *FEW]) == 0


def test_tasks_to_evaluate_are_checked(lab: Any, ant: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.train(data=ant) == 0
    tasks = Path("tasks.csv")
    arguments = [
        f"--checkpoint={lab.runs / 'tiny/checkpoints/last.ckpt'}",
        f"--tasks={tasks}",
        "--episodes=2",
    ]
    tasks.write_text("direction\n1\n-1\n")
    assert evaluate_cli.main(arguments) == 0
    capsys.readouterr()
    tasks.write_text("direction\n1\n0.5\n")
    assert evaluate_cli.main(arguments) == 2
    complaint = "error: tasks file tasks.csv, line 3, column direction: 0.5 is none of -1, 1\n"
    assert capsys.readouterr().err == complaint


def test_a_robot_that_has_changed_since_training_is_refused(
    lab: Any, ant: Any, refused: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    robot, text = lab.path / "my_ant.xml", (ASSETS / "ant.xml").read_text()
    robot.write_text(text)
    ant["env"]["init_args"]["xml_file"] = "my_ant.xml"
    assert lab.train(data=ant) == 0
    without_a_joint = [line for line in text.splitlines() if "ankle_4" not in line]
    robot.write_text("\n".join(without_a_joint))
    message = refused("--ckpt_path=last", "--trainer.max_steps=5", data=ant)
    assert "does not fit model.init_args and data.env: size mismatch" in message
    assert evaluate_cli.main([f"--checkpoint={lab.runs / 'tiny/checkpoints/last.ckpt'}", *FEW]) == 2
    error = capsys.readouterr().err
    assert "weights do not fit" in error
    assert error.count("\n") == 1
