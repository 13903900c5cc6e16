"""evaluate.py --compare: every method on the same tasks, its scores by hand, and one line for bad input."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from meta_rl.evaluation.command import main
from meta_rl.run.config import instantiate, read_config

FEW = ["--num_tasks", "3", "--episodes", "4", "--gradient_steps", "2"]
COLUMNS = "method gradient_step mean low high tasks episodes normalised normalised_low normalised_high"


class Lab:
    """Makes runs and configurations in a folder, and compares them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, file: str, algorithm: str, env: Any = None, **model: Any) -> Path:
        """A YAML file `file`.yaml of an experiment of the same name."""
        env = env or {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 10}}
        arguments = {"policy": {"hidden_sizes": [8]}, **model}
        experiment = {
            "name": file,
            "model": {"class_path": f"meta_rl.algorithms.{algorithm}", "init_args": arguments},
            "data": {"env": env},
        }
        (self.path / f"{file}.yaml").write_text(yaml.safe_dump(experiment))
        return self.path / f"{file}.yaml"

    def run(self, name: str, algorithm: str, folder: str = "runs", bias: Any = 0.0, **model: Any) -> Path:
        """The directory of a run whose policy acts by its last layer's bias alone."""
        config = read_config(self.config(name, algorithm, **model))
        learner, data = instantiate(config)
        learner.build(data.env, 1)
        with torch.no_grad():
            learner.policy.mean[-1].weight.zero_()
            learner.policy.mean[-1].bias.copy_(torch.as_tensor(bias).expand(2))
        file = self.path / folder / name / "checkpoints/last.ckpt"
        file.parent.mkdir(parents=True)
        extra = {"version": 1, "config": config}
        torch.save({"state_dict": learner.state_dict(), "global_step": 1, "meta_rl": extra}, file)
        return file.parents[1]

    def compare(self, *runs: Path, options: Any = FEW) -> int:
        return main(["--compare", *map(str, runs), *options, "--output", str(self.path / "out")])

    def table(self, name: str = "comparison.csv") -> pd.DataFrame:
        return pd.read_csv(self.path / "out" / name)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_policy_that_adapts_by_evolution_strategies_does_so_here_too(
    lab: Lab, capsys: pytest.CaptureFixture
) -> None:
    same = {"bias": 0.3, "inner_lr": 0.1}
    runs = [
        lab.run("gradient", "ESMAML", **same),
        lab.run("es", "ESMAML", adaptation="es", inner_sigma=0.5, **same),
    ]
    assert lab.compare(*runs) == 0
    means = lab.table().pivot(index="gradient_step", columns="method", values="mean")
    assert means["gradient"][0] == means["es"][0]
    assert means["gradient"][1] != means["es"][1]
    other = lab.run("other", "ESMAML", adaptation="es", inner_sigma=0.1, **same)
    assert lab.compare(runs[1], other) == 0
    assert lab.table()["mean"][1] != lab.table()["mean"][4]
    assert lab.compare(*runs, options=[*FEW, "--episodes", "3"]) == 2
    message = "adaptation by ES takes episodes in pairs, got 3; choose an even number"
    assert message in capsys.readouterr().err


def test_one_table_and_one_figure_of_all_methods(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    runs = [
        lab.run("mine", "FOMAML", bias=0.1),
        lab.run("oracle", "Oracle") / "checkpoints/last.ckpt",
        lab.config("random", "Random"),
    ]
    random = lab.run("unused", "Random", bias=3.0)  # worse than the oracle, so that there are scores
    assert lab.compare(runs[0], runs[1], random) == 0
    table = lab.table()
    assert list(table.columns) == COLUMNS.split()
    assert table["method"].tolist() == ["mine"] * 3 + ["oracle"] + ["unused"] * 3
    assert table["gradient_step"].tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert (table["tasks"] == 3).all()
    assert (table["episodes"] == 4).all()
    assert (lab.path / "out/comparison.png").stat().st_size > 0
    printed = capsys.readouterr().out
    assert all(f"{x:.2f}" in printed for x in table["mean"])
    assert lab.compare(*runs) == 0
    assert set(lab.table()["method"]) == {"mine", "oracle", "random"}


def test_a_method_is_evaluated_as_it_is_alone(lab: Lab) -> None:
    """The same tasks and noise, its own rates, and nothing of the methods beside it."""
    runs = {
        "slow": lab.run("slow", "FOMAML", inner_lr=0.01, bias=0.1),
        "fast": lab.run("fast", "MAML", inner_lr=[0.5, 0.25], bias=0.1),
        "pretrained": lab.run("pretrained", "Pretrained", inner_lr=0.2),
        "oracle": lab.run("oracle", "Oracle"),
    }
    assert lab.compare(*runs.values(), options=[*FEW, "--seed", "5"]) == 0
    by_task, table = lab.table("comparison_by_task.csv"), lab.table()
    for name, run in runs.items():
        few = FEW if name != "oracle" else FEW[:4]
        arguments = ["--checkpoint", str(run / "checkpoints/last.ckpt"), *few, "--seed", "5"]
        assert main([*arguments, "--output", str(lab.path / name)]) == 0
        alone = pd.read_csv(lab.path / name / "adaptation.csv")
        together = by_task[by_task["method"] == name].drop(columns="method").reset_index(drop=True)
        pd.testing.assert_frame_equal(together, alone)
        mean = alone.groupby("gradient_step")["return_mean"].mean()
        assert table[table["method"] == name]["mean"].tolist() == pytest.approx(mean.tolist())
    first = by_task.query("gradient_step == 0").set_index("method")["return_mean"]
    assert first["slow"].tolist() == first["fast"].tolist()  # the same policy
    last = by_task.query("gradient_step == 2").set_index("method")["return_mean"]
    assert last["slow"].tolist() != last["fast"].tolist()


def test_scores_by_hand(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    runs = [
        lab.run("mine", "FOMAML", bias=0.5),
        lab.run("random", "Random", bias=3.0),
        lab.run("oracle", "Oracle"),
        lab.run("oracle2", "Oracle", bias=1.0),
    ]
    assert lab.compare(*runs) == 0
    assert "normalised: random without adaptation is 0, oracle is 1" in capsys.readouterr().out
    table = lab.table().set_index(["method", "gradient_step"])
    low, high = table["mean"]["random", 0], table["mean"]["oracle", 0]
    assert table["normalised"].tolist() == pytest.approx(((table["mean"] - low) / (high - low)).tolist())
    assert table["normalised"]["oracle", 0] == 1
    assert table["normalised"]["random", 0] == 0
    assert (table["normalised_low"] <= table["normalised"]).all()
    assert (table["low"] < table["mean"]).all()
    middle = (table["normalised_low"] + table["normalised_high"]) / 2
    assert middle.tolist() == pytest.approx(table["normalised"].tolist())


@pytest.mark.parametrize(
    ("kinds", "note"),
    [
        ({"mine": "MAML"}, "they need a Random and a trained Oracle among the runs"),
        ({"mine": "MAML", "oracle": "Oracle"}, "they need a Random among the runs"),
        ({"mine": "MAML", "random": "Random"}, "they need a trained Oracle among the runs"),
        ({"random": "Random", "oracle": "Oracle"}, "oracle is no better than random"),
    ],
)
def test_a_line_says_why_there_are_no_scores(
    lab: Lab, capsys: pytest.CaptureFixture, kinds: dict[str, str], note: str
) -> None:
    runs = [lab.run(name, kind, bias=3.0 if kind == "Oracle" else 0.0) for name, kind in kinds.items()]
    assert lab.compare(*runs) == 0
    assert f"no normalised scores; {note}\n" in capsys.readouterr().out
    table = lab.table()
    assert table["normalised"].isna().all()
    assert table["mean"].notna().all()


def test_an_untrained_oracle_is_no_scale(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    assert lab.compare(lab.run("random", "Random", bias=3.0), lab.config("oracle", "Oracle")) == 0
    assert "they need a trained Oracle" in capsys.readouterr().out
    assert set(lab.table()["method"]) == {"random", "oracle, untrained"}


@pytest.mark.filterwarnings("error:constrained_layout")  # paths as long as these leave room for the curves
def test_runs_of_one_name_are_told_apart_by_their_paths(lab: Lab) -> None:
    a, b, c = lab.run("same", "MAML"), lab.run("same", "MAML", "others"), lab.run("third", "MAML")
    assert lab.compare(a, b, c) == 0
    assert lab.table()["method"].unique().tolist() == [f"same ({a})", f"same ({b})", "third"]


def test_tasks_of_a_file(lab: Lab) -> None:
    tasks = lab.path / "tasks.csv"
    tasks.write_text("goal_x,goal_y\n0.3,-0.2\n")
    options = ["--tasks", str(tasks), "--episodes", "2", "--gradient_steps", "0"]
    assert lab.compare(lab.run("a", "MAML"), lab.run("oracle", "Oracle"), options=options) == 0
    assert lab.table("comparison_by_task.csv")[["goal_x", "goal_y"]].to_numpy().tolist() == [[0.3, -0.2]] * 2
    assert lab.table()["low"].isna().all()  # no interval over a single task


def test_a_run_that_diverges_is_left_out(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    wild = lab.run("wild", "MAML", inner_lr=1e38)
    assert lab.compare(wild, lab.run("tame", "MAML")) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: wild diverged, ")
    assert error.count("\n") == 1
    assert set(lab.table()["method"]) == {"tame"}
    (lab.path / "out/comparison.csv").unlink()
    assert lab.compare(wild) == 1
    assert not (lab.path / "out/comparison.csv").exists()


def test_threads_are_no_difference_but_the_horizon_is(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    def ant(file: str, **arguments: Any) -> Path:
        env = {"class_path": "meta_rl.envs.AntDirection", "init_args": {"horizon": 2, **arguments}}
        return lab.config(file, "Random", env)

    one, two, longer = ant("one", num_threads=1), ant("two", num_threads=2), ant("longer", horizon=3)
    assert lab.compare(one, two) == 0
    assert lab.compare(one, longer) == 2
    line = f"--compare: data.env.horizon is 2 in {one} and 3 in {longer}; compare runs of one task family"
    assert capsys.readouterr().err == f"error: {line}\n"


def test_an_argument_that_an_older_checkpoint_lacks_has_its_default(lab: Lab) -> None:
    old, new = lab.run("old", "MAML"), lab.run("new", "MAML")
    file = old / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    del content["meta_rl"]["config"]["data"]["env"]["init_args"]["goal_radius"]
    torch.save(content, file)
    assert lab.compare(old, new) == 0


def test_bad_input_is_one_line(lab: Lab, capsys: pytest.CaptureFixture) -> None:
    run, empty, other = (
        lab.run("run", "MAML"),
        lab.path / "empty",
        lab.config("other", "Random", {"class_path": "meta_rl.envs.Bandit"}),
    )
    empty.mkdir()
    classes = "meta_rl.envs.point_mass.PointMass in", "meta_rl.envs.probes.Bandit in"
    cases = {
        ("missing",): "run missing: not found; give a run's directory",
        (run, empty): f"run {empty}: there is no {empty}/checkpoints/last.ckpt",
        (run, lab.path / "missing.yaml"): "missing.yaml",
        (run, other): f"data.env.class_path is {classes[0]} {run} and {classes[1]} {other}",
        (run, run): f"--compare names {run} 2 times",
        (run, "--inner_lr", "0.1"): "--inner_lr: --compare uses the rates of each run",
        (run, "--config", other): "not allowed with argument",
        (): "--compare: expected at least one argument",
    }
    for words, complaint in cases.items():
        assert main(["--compare", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert complaint in error
        assert error.count("\n") == 1
