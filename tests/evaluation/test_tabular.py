"""Evaluating on tabular MDPs: adaptation from YAML alone, and a task file of another family."""

import csv
from pathlib import Path

import pytest

from meta_rl.evaluation.command import main
from meta_rl.run.command import main as train

EXPERIMENT = """
name: tabular
model: {class_path: meta_rl.algorithms.MAML, init_args: {inner_lr: 20.0, policy: {hidden_sizes: []}}}
data:
  env: {class_path: meta_rl.envs.TabularMDP, init_args: {num_states: 2, num_actions: 2, horizon: 5}}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "tabular.yaml"
    path.write_text(EXPERIMENT)
    return path


def test_an_untrained_policy_improves(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = experiment.parent / "evaluation"
    assert main(["--config", str(experiment), "--num_tasks", "5", "--output", str(output)]) == 0
    with (output / "adaptation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    before, after = (
        sum(float(row["return_mean"]) for row in rows if row["gradient_step"] == step) for step in ("0", "3")
    )
    assert after > before + 5 * 0.2


def test_a_trained_policy_beside_others(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Training, the checkpoint's evaluation, and the comparison with the untrained policy and an oracle."""
    runs, folder = experiment.parent / "runs", experiment.parent / "comparison"
    oracle = experiment.with_name("oracle.yaml")
    text = EXPERIMENT.replace("MAML, init_args: {inner_lr: 20.0, ", "Oracle, init_args: {")
    oracle.write_text(text.replace("name: tabular", "name: oracle"))
    small = ["--data.meta_batch_size=4", "--data.fast_batch_size=4", "--trainer.max_steps=2"]
    for config in (experiment, oracle):
        assert train([f"--config={config}", f"--runs_dir={runs}", *small]) == 0
    compared = [str(path) for path in (runs / "tabular", runs / "oracle", experiment)]
    tasks = ["--num_tasks", "2", "--episodes", "2", "--output", str(folder)]
    assert main(["--compare", *compared, *tasks]) == 0
    assert list(folder.glob("*.csv"))


def test_a_task_file_of_another_family(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = experiment.parent / "tasks.csv"
    tasks.write_text("goal_x,goal_y\n0,0\n")
    assert main(["--config", str(experiment), "--tasks", str(tasks)]) == 2
    error = capsys.readouterr().err
    assert "unknown column 'goal_x'; the tasks have reward_0_0, reward_0_1" in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
