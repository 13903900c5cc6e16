"""evaluate.py in process: what it writes, and one line for every kind of bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import wandb

from helpers import BlankDrawing
from meta_rl.envs import PointMass
from meta_rl.errors import UserError
from meta_rl.evaluation.command import main
from meta_rl.evaluation.evaluate import by_task
from meta_rl.evaluation.loaded import load_untrained
from meta_rl.evaluation.task_file import read_tasks
from meta_rl.run.config import instantiate, read_config
from meta_rl.show import opengl

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


@pytest.mark.parametrize("scaled", [False, True])
def test_rates_are_meant_as_in_training(config: Path, scaled: bool) -> None:
    config.write_text(EXPERIMENT.replace("inner_lr: 0.2", f"inner_lr: 0.2, scale_by_variance: {scaled}"))
    policy = load_untrained(config)
    assert [policy.test_time(rates).scale_by_variance for rates in (None, [0.5])] == [scaled, scaled]


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


@pytest.fixture
def oracle(tmp_path: Path) -> Path:
    file = tmp_path / "oracle.yaml"
    file.write_text(EXPERIMENT.replace("FOMAML", "Oracle").replace("tiny", "oracle"))
    return file


def test_an_oracle_is_evaluated_without_adaptation(
    oracle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    few = ["--num_tasks", "3", "--episodes", "4"]
    assert main(["--config", str(oracle), *few, "--output", str(tmp_path)]) == 0
    frame = evaluated(tmp_path)
    assert frame["gradient_step"].tolist() == [0, 0, 0]
    assert "Oracle does not adapt: no gradient step" in capsys.readouterr().out
    asked = ["--gradient_steps", "2", "--inner_lr", "1"]  # as of the other methods of a loop
    assert main(["--config", str(oracle), *few, *asked, "--output", str(tmp_path)]) == 0
    pd.testing.assert_frame_equal(evaluated(tmp_path), frame)


def test_three_gradient_steps_by_default(config: Path, tmp_path: Path) -> None:
    assert (
        main(["--config", str(config), "--num_tasks", "1", "--episodes", "2", "--output", str(tmp_path)]) == 0
    )
    assert evaluated(tmp_path)["gradient_step"].tolist() == [0, 1, 2, 3]


def test_the_random_baseline_is_not_called_untrained(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "random.yaml"
    file.write_text(EXPERIMENT.replace("FOMAML", "Random").replace("tiny", "random"))
    for source, label in ((file, "random:"), (config, "tiny, untrained:")):
        assert main(["--config", str(source), *FEW, "--output", str(tmp_path)]) == 0
        assert capsys.readouterr().out.startswith(label)


def test_help_does_not_wait_for_torch() -> None:
    code = """
import sys
from meta_rl.evaluation.command import main
for argv in (["--help"], ["--checkpont", "x"]):
    try:
        main(argv)
    except SystemExit:
        pass
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


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


def test_a_few_tasks_that_recur_are_told_apart() -> None:
    rows = [(i, (-1) ** i, step, 10 * step + i) for i in range(4) for step in (0, 1)]
    frame = pd.DataFrame(rows, columns=["task", "direction", "gradient_step", "return_mean"])
    table = by_task(frame, ["direction"])
    assert table.to_dict() == {"direction 1": {0: 1, 1: 11}, "direction -1": {0: 2, 1: 12}}
    each_once = frame[frame["task"] < 2]
    assert by_task(each_once, ["direction"]).empty
    assert by_task(frame.assign(direction=frame["task"]), ["direction"]).empty


def test_an_index_column_is_passed_over(tmp_path: Path) -> None:
    frame = pd.DataFrame({"goal_x": [0.5, 0.0], "goal_y": [0.0, 0.25]})
    for i, table in enumerate((frame, frame.reset_index())):
        table.to_csv(tmp_path / f"{i}.csv", index=i == 0)
        assert read_tasks(tmp_path / f"{i}.csv", PointMass())[:, :2].tolist() == frame.to_numpy().tolist()


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
        ([], "one of the arguments --checkpoint --config --compare is required"),
        ([*CONFIG, *CHECKPOINT], "not allowed with"),
        (["--checkpoint", "missing.ckpt"], "missing.ckpt"),
        (["--checkpoint", "CONFIG"], "tiny.yaml"),
        (["--checkpoint", "TRUNCATED"], "truncated.ckpt"),
        (["--checkpoint", "UNKNOWN"], "unknown.ckpt: model: No module named 'nosuch'; put its"),
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

    monkeypatch.setattr("meta_rl.evaluation.loaded.adaptation_curve", interrupt)
    assert main(["--config", str(config), "--output", str(tmp_path)]) == 130


@pytest.fixture
def ant(config: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that evaluate an ant that is drawn in grey, without OpenGL."""
    config.write_text(EXPERIMENT.replace("PointMass", "AntDirection").replace("sample_start: false, ", ""))
    monkeypatch.setattr(opengl, "choose", lambda: None)
    monkeypatch.setattr("meta_rl.evaluation.film.Drawing", BlankDrawing)
    return ["--config", str(config), *FEW]


def test_videos_of_two_tasks(ant: list[str], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([*ant, "--video", "--output", str(tmp_path)]) == 0
    files = sorted((tmp_path / "video").glob("*.mp4"))
    directions = evaluated(tmp_path)["direction"][::3].tolist()
    other = directions.index(-directions[0])
    assert [file.name for file in files] == ["task-0.mp4", f"task-{other}.mp4"]
    assert str(files[1]) in capsys.readouterr().out
    assert main([*ant, "--video", "1", "--output", str(tmp_path)]) == 0
    assert sorted(file.name for file in (tmp_path / "video").iterdir()) == ["task-0.gif", "task-0.mp4"]


def test_watching_changes_no_number(ant: list[str], tmp_path: Path) -> None:
    for name, flag in {"plain": [], "video": ["--video"]}.items():
        assert main([*ant, *flag, "--output", str(tmp_path / name)]) == 0
    pd.testing.assert_frame_equal(*(evaluated(tmp_path / name) for name in ("plain", "video")))


def test_the_adapted_policy_is_viewed_at_the_end(
    ant: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewed = []
    monkeypatch.setattr(opengl, "can_open_windows", lambda: True)
    monkeypatch.setattr(
        "meta_rl.evaluation.evaluate.show_live", lambda policy, task, how: viewed.append((task, how))
    )
    assert main([*ant, "--view", "--output", str(tmp_path)]) == 0
    ((task, how),) = viewed
    assert task.tolist() == evaluated(tmp_path)["direction"][:1].tolist()
    assert how == (2, 4, 0, None)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([*CONFIG, "--video"], "PointMass has no robot to show"),
        ([*CONFIG, "--view"], "--view: MuJoCo's viewer finds no display; use --video instead"),
        ([*CONFIG, "--video", "0"], "--video: expected a whole number of at least 1, got '0'"),
        (["--compare", "CONFIG", "--video"], "--video: --compare shows nothing"),
        (["--compare", "CONFIG", "--view"], "--view: --compare shows nothing"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_the_evaluation(
    argv: list[str],
    complaint: str,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(opengl, "choose", lambda: None)
    monkeypatch.setattr(opengl, "can_open_windows", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main([str(config) if word == "CONFIG" else word for word in argv]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "evaluation").exists()


def test_wandb_gets_figure_and_videos(
    ant: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_RUN_ID", "trained")  # of a sweep's agent, for the training
    try:
        assert main([*ant, "--video", "1", "--output", str(tmp_path)]) == 0
    finally:
        wandb.teardown()  # its service writes the record, and would keep this directory for later tests
    assert capsys.readouterr().out.endswith("W&B offline\n")
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    (video,) = run.glob("files/media/videos/**/*.mp4")
    (figure,) = run.glob("files/media/images/*.png")
    assert video.read_bytes() == (tmp_path / "video/task-0.mp4").read_bytes()
    assert figure.read_bytes() == (tmp_path / "adaptation.png").read_bytes()
    (record,) = (file.read_bytes() for file in run.glob("*.wandb"))
    assert b"tiny-evaluation" in record
    assert not run.name.endswith("trained")


def test_an_impossible_wandb_mode_is_told_first(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "onlin")
    assert main(["--config", str(config), *FEW, "--output", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err == "error: WANDB_MODE=onlin: expected online, offline or disabled\n"
    assert not (tmp_path / "new").exists()


def test_several_checkpoints_are_evaluated_into_their_own_runs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "runs/other/checkpoints/last.ckpt"
    damaged = tmp_path / "runs/damaged/checkpoints/last.ckpt"
    for copy in (other, damaged):
        copy.parent.mkdir(parents=True)
    other.write_bytes(checkpoint.read_bytes())
    damaged.write_bytes(checkpoint.read_bytes()[:100])
    assert main(["--checkpoint", str(checkpoint), str(damaged), str(other), *FEW]) == 2
    assert capsys.readouterr().err.startswith(f"error: checkpoint {damaged}: ")
    assert evaluated(tmp_path / "runs/tiny/evaluation").equals(evaluated(tmp_path / "runs/other/evaluation"))
    record = json.loads((tmp_path / "runs/other/evaluation/evaluation.json").read_text())
    assert (record["label"], record["trained"], record["iteration"]) == ("tiny", True, 1)
    assert (record["gradient_steps"], record["episodes"], record["inner_lr"]) == (2, 4, [0.2])
    assert record["source"] == str(other)
    assert record["config"]["model"]["class_path"] == "meta_rl.algorithms.FOMAML"


def test_several_checkpoints_need_a_place_each(checkpoint: Path, capsys: pytest.CaptureFixture) -> None:
    best = checkpoint.with_name("best.ckpt")
    best.write_bytes(checkpoint.read_bytes())
    for arguments, message in {
        (str(best),): "two of them belong to",
        (str(best), "--output", "x"): "--output: goes with one checkpoint",
    }.items():
        assert main(["--checkpoint", str(checkpoint), *arguments, *FEW]) == 2
        assert message in capsys.readouterr().err
    assert not (checkpoint.parents[1] / "evaluation").exists()
