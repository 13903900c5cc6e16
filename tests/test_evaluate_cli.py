"""evaluate.py in process: what it writes, and one line for every kind of bad input."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from meta_rl.envs import PointMass
from meta_rl.errors import UserError
from meta_rl.evaluate_cli import main
from meta_rl.experiment.config import instantiate, read_config
from meta_rl.tasks import read_tasks

EXPERIMENT = """
name: tiny
seed_everything: 3
model:
  class_path: meta_rl.algorithms.FOMAML
  init_args: {inner_lr: 0.2, policy: {hidden_sizes: [8]}}
data:
  env:
    class_path: meta_rl.envs.PointMass
    init_args: {sample_start: false, horizon: 10}
trainer: {max_steps: 1}
"""
FEW = ["--num_tasks", "3", "--episodes", "4", "--gradient_steps", "2"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def checkpoint(tmp_path: Path, config: Path) -> Path:
    """What train.py would have saved of a policy that differs from the untrained one."""
    experiment = read_config(config)
    learner, data = instantiate(experiment)
    learner.build(data.env, seed=99)
    file = tmp_path / "runs/tiny/checkpoints/last.ckpt"
    file.parent.mkdir(parents=True)
    extra = {"version": 1, "config": experiment}
    torch.save({"state_dict": learner.state_dict(), "global_step": 1, "meta_rl": extra}, file)
    return file


def evaluated(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "adaptation.csv")


def test_checkpoint_alone_is_enough(checkpoint: Path, config: Path, capsys: pytest.CaptureFixture) -> None:
    config.unlink()
    assert main(["--checkpoint", str(checkpoint), *FEW]) == 0
    output = checkpoint.parents[1] / "evaluation"
    frame = evaluated(output)
    parameters = ["goal_x", "goal_y", "start_x", "start_y"]
    results = ["gradient_step", "return_mean", "return_std", "episodes"]
    assert list(frame.columns) == ["task", *parameters, *results]
    assert frame["task"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert frame["gradient_step"].tolist() == [0, 1, 2] * 3
    assert (frame["episodes"] == 4).all()
    assert (output / "adaptation.png").stat().st_size > 0
    printed = capsys.readouterr().out
    assert "inner_lr [0.2]" in printed  # training's own
    assert f"{frame.query('gradient_step == 2')['return_mean'].mean():.2f}" in printed


def test_same_seed_same_tasks_for_every_policy(checkpoint: Path, config: Path, tmp_path: Path) -> None:
    runs = {
        "trained": ["--checkpoint", str(checkpoint)],
        "again": ["--checkpoint", str(checkpoint)],
        "untrained": ["--config", str(config)],
        "other": ["--checkpoint", str(checkpoint), "--seed", "1"],
    }
    for name, source in runs.items():
        assert main([*source, *FEW, "--output", str(tmp_path / name)]) == 0
    frames = {name: evaluated(tmp_path / name) for name in runs}
    pd.testing.assert_frame_equal(frames["trained"], frames["again"])
    goals = ["goal_x", "goal_y"]
    pd.testing.assert_frame_equal(frames["trained"][goals], frames["untrained"][goals])
    assert not frames["trained"]["return_mean"].equals(frames["untrained"]["return_mean"])
    assert not frames["trained"][goals].equals(frames["other"][goals])


def test_an_untrained_policy_goes_to_evaluation(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--config", str(config), *FEW]) == 0
    assert len(evaluated(tmp_path / "evaluation/tiny")) == 9


def test_rates_of_the_command_line(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, rates in {"one": "0.5", "same": "[0.5, 0.5]", "list": "[0.5,0.25]"}.items():
        assert (
            main(["--config", str(config), *FEW, "--inner_lr", rates, "--output", str(tmp_path / name)]) == 0
        )
    one, same, other = (evaluated(tmp_path / name)["return_mean"] for name in ("one", "same", "list"))
    assert one.equals(same)
    agree = (one == other).to_numpy().reshape(3, 3).all(0)
    assert agree.tolist() == [True, True, False]  # the second step's rate shows after the second step
    assert "inner_lr [0.5, 0.25]" in capsys.readouterr().out


def test_tasks_of_a_file(config: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.csv"
    tasks.write_text("start_x,goal_y,goal_x\n0.1,-0.2,0.3\n\n0,0.5,-0.5\n")
    assert main(["--config", str(config), "--tasks", str(tasks), "--output", str(tmp_path)]) == 0
    frame = evaluated(tmp_path).drop_duplicates("task")[["goal_x", "goal_y", "start_x", "start_y"]]
    assert frame.to_numpy().tolist() == [[0.3, -0.2, 0.1, 0.0], [-0.5, 0.5, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "empty; its header names goal_x, goal_y"),
        ("\n\n", "empty"),
        ("goal_x,goal_y\n", "no task below the header"),
        ("goal_x,goal\n0,0\n", "line 1: unknown column 'goal'"),
        ("goal_x,goal_y,goal_x\n0,0,0\n", "line 1: column goal_x appears twice"),
        ("goal_x,start_x\n0,0\n", "line 1: column goal_y is missing"),
        ("goal_x,goal_y\n0,0\n0.1,far\n", "line 3, column goal_y: 'far' is not a number"),
        ("goal_x,goal_y\n0,\n", "line 2, column goal_y: '' is not a number"),
        ("goal_x,goal_y\n\n0,0.6\n", "line 3, column goal_y: 0.6 is outside [-0.5, 0.5]"),
        ("goal_x,goal_y\nnan,0\n", "line 2, column goal_x: nan is outside"),
        ("goal_x,goal_y\n1e999,0\n", "line 2, column goal_x: 1e999 is outside"),
        ("goal_x,goal_y\n0\n", "line 2: 1 values for the 2 columns"),
        ("goal_x,goal_y\n0,0,0\n", "line 2: 3 values for the 2 columns"),
        ('goal_x,goal_y\n"0,0\n', "line 2: 1 values"),
        (b"\xff\xfe\x00", "not a CSV text file"),
    ],
)
def test_bad_tasks_are_named(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    file = tmp_path / "tasks.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_tasks(file, PointMass())
    assert str(error.value).startswith(f"tasks file {file}")
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


CONFIG, CHECKPOINT = ["--config", "CONFIG"], ["--checkpoint", "CHECKPOINT"]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "one of the arguments --checkpoint --config is required"),
        ([*CONFIG, *CHECKPOINT], "not allowed with"),
        (["--checkpoint", "missing.ckpt"], "missing.ckpt"),
        (["--checkpoint", "CONFIG"], "tiny.yaml"),
        (["--checkpoint", "TRUNCATED"], "truncated.ckpt"),
        (["--checkpoint", "UNKNOWN"], "unknown.ckpt: model.class_path: No module named 'nosuch'; put its"),
        (["--checkpoint", "EMPTY"], "empty.ckpt: not written by train.py"),
        (["--checkpoint", "MISFIT"], "its weights do not fit its own config"),
        (["--config", "missing.yaml"], "missing.yaml"),
        ([*CONFIG, "--tasks", "missing.csv"], "tasks file missing.csv"),
        ([*CONFIG, "--tasks", "a.csv", "--num_tasks", "40"], "not allowed with"),
        ([*CONFIG, "--num_tasks", "0"], "--num_tasks: expected a whole number of at least 1, got '0'"),
        ([*CONFIG, "--episodes", "-3"], "--episodes: expected a whole number of at least 1, got '-3'"),
        ([*CONFIG, "--gradient_steps", "1.5"], "--gradient_steps"),
        ([*CONFIG, "--seed", "-1"], "--seed"),
        ([*CONFIG, "--inner_lr", "-0.1"], "--inner_lr: expected positive numbers"),
        ([*CONFIG, "--inner_lr", "[0.1,nan]"], "--inner_lr"),
        ([*CONFIG, "--inner_lr", "[]"], "--inner_lr"),
        ([*CONFIG, "--inner_rate", "1"], "--inner_rate"),
        ([*CONFIG, "--output", "CONFIG"], "choose another --output"),
    ],
)
def test_bad_input_is_one_line(
    argv: list[str],
    complaint: str,
    config: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    truncated, misfit = tmp_path / "truncated.ckpt", tmp_path / "misfit.ckpt"
    truncated.write_bytes(checkpoint.read_bytes()[:1000])
    content = torch.load(checkpoint, weights_only=True)
    torch.save({**content, "state_dict": {}}, misfit)
    unknown, empty = tmp_path / "unknown.ckpt", tmp_path / "empty.ckpt"
    torch.save({**content, "meta_rl": {"version": 1, "config": None}}, empty)
    content["meta_rl"]["config"]["model"]["class_path"] = "nosuch.Learner"
    torch.save(content, unknown)
    files = {"CONFIG": config, "CHECKPOINT": checkpoint, "TRUNCATED": truncated, "MISFIT": misfit}
    files |= {"UNKNOWN": unknown, "EMPTY": empty}
    assert main([str(files.get(word, word)) for word in argv]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert complaint in error
    assert error.count("\n") == 1


def test_divergence_is_told(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--config", str(config), *FEW, "--inner_lr", "1e38", "--output", str(tmp_path)]
    assert main(arguments) == 1
    assert "adaptation diverged" in capsys.readouterr().err


def test_an_interrupted_evaluation_has_the_usual_exit_code(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("meta_rl.evaluation.adaptation_curve", interrupt)
    assert main(["--config", str(config), "--output", str(tmp_path)]) == 130
