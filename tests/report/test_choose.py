"""Which directories become runs, and what is said of the others."""

import json
from pathlib import Path
from typing import Any

import pytest
from directories import adaptation, config, metrics, untrained, write_evaluation, write_run

from meta_rl.report.choose import collect


def reason(path: Path, evaluation: str = "evaluation", *others: Path) -> str:
    """Why the only thing skipped is skipped."""
    _, skipped = collect([path, *others], evaluation)
    (line,) = skipped
    assert line.startswith(f"skipped {path}")
    return line.removeprefix(f"skipped {path}: ")


def test_a_run_is_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config("FOMAML", seed=3, inner_lr=[0.5, 0.25], num_threads=3))
    write_evaluation(path / "evaluation", [[1.0, 2.0], [3.0, 5.0]])
    (run,), skipped = collect([path], "evaluation")
    assert not skipped
    assert (run.method, run.seed, run.settings["iterations"]) == ("FOMAML", 3, 4)
    settings = {"model.inner_lr": [0.5, 0.25], "data.meta_batch_size": 20, "data.fast_batch_size": 20}
    assert {**run.settings, **settings} == run.settings
    assert run.family == {"data.env": "PointMass", "data.env.horizon": 5}  # without num_threads
    assert run.evaluation is not None
    assert run.evaluation.returns.tolist() == [[1, 2], [3, 5]]
    assert run.evaluation.after(7).tolist() == [2, 5]
    assert run.starts == ()


def test_the_newest_configuration_counts(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config(max_steps=4), metrics(12))
    for number, steps in ((2, 8), (10, 12)):
        (path / f"config-{number}.yaml").write_text(json.dumps(config(max_steps=steps)))  # JSON is YAML
    (run,), _ = collect([path], "evaluation")
    assert "12" in run.config
    (path / "config-11.yaml").write_text(json.dumps(config(max_steps=13)))
    assert reason(path) == "partial: 12 of 13 iterations"


def test_a_run_has_the_default_of_an_argument_that_is_newer(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", config("FOMAML", seed=1))
    new = write_run(tmp_path / "new", config("FOMAML", seed=2, inner_loss="reinforce", fisher_fraction=1.0))
    older, newer = collect([old, new], "evaluation")[0]
    assert older.settings["model.inner_loss"] == "reinforce"
    assert older.settings["model.fisher_fraction"] == 1.0  # inherited from another class
    assert older.settings == newer.settings


def test_an_unknown_method_is_left_as_it_is(tmp_path: Path) -> None:
    paths = [
        write_run(tmp_path / "a", config("mine.Own", seed=1)),
        write_run(tmp_path / "b", config("mine.Own", seed=2, inner_loss="ratio")),
    ]
    runs, _ = collect(paths, "evaluation")
    assert sorted(len(run.settings) for run in runs) == [4, 5]


def test_what_is_done_is_not_partial(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config(max_steps=9))
    assert reason(path) == "partial: 4 of 9 iterations"
    for outcome, runs in (("stopped", 0), ("done", 1)):
        (path / "run.json").write_text(
            json.dumps({"starts": [{"command": "python train.py", "outcome": outcome}]})
        )
        assert len(collect([path], "evaluation")[0]) == runs


def test_missing_files(tmp_path: Path) -> None:
    assert reason(tmp_path / "nowhere") == "not found"
    file = tmp_path / "file"
    file.touch()
    assert reason(file) == "not a directory"
    assert reason(tmp_path) == "no run: neither config.yaml, metrics.csv nor adaptation.csv is there"
    for name in ("config.yaml", "metrics.csv"):
        path = write_run(tmp_path / f"without-{name}", config())
        (path / name).unlink()
        assert reason(path) == f"missing: no {name}"


def table(**columns: list[Any]) -> str:
    """metrics.csv with two rows, some columns of which are replaced."""
    return metrics(2, **columns).to_csv(index=False)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("metrics.csv", "step,return_pre\n1,2\n", "damaged: metrics.csv (KeyError: \"['return_post'"),
        ("metrics.csv", "", "damaged: metrics.csv (EmptyDataError"),
        ("metrics.csv", metrics(0).to_csv(index=False), "partial: no iteration"),
        ("metrics.csv", table(return_post=[1, "x"]), "damaged: metrics.csv (ValueError"),
        ("metrics.csv", table(return_post=[1, ""]), "damaged: metrics.csv lacks numbers"),
        (
            "metrics.csv",
            table(step=[2, 1]),
            "damaged: metrics.csv lacks numbers, or its steps are out of order",
        ),
        ("config.yaml", "a: [", "damaged: config.yaml (ParserError"),
        ("config.yaml", "3", "damaged: config.yaml (TypeError"),
        ("config.yaml", "model: {class_path: x}", "damaged: config.yaml (KeyError"),
        ("run.json", "{", "damaged: run.json"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, text: str, why: str) -> None:
    path = write_run(tmp_path / "a", config())
    (path / name).write_text(text)
    assert reason(path).startswith(why)
    assert "\n" not in reason(path)


def test_a_line_cut_off_by_a_kill_is_not_read(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config())
    with (path / "metrics.csv").open("a") as stream:
        stream.write("5,-5.")
    (run,), skipped = collect([path], "evaluation")
    assert run.settings["iterations"] == 4
    assert not skipped


def test_another_task_family_is_left_out(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(n), config(seed=n, num_threads=n)) for n in (1, 2)]
    other = write_run(tmp_path / "other", config(seed=3, horizon=7))
    why = "mixed: data.env.horizon is 7, in most of the runs 5"
    assert reason(other, "evaluation", *paths) == why


def test_nothing_counts_twice(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config())
    alias = path / ".." / "a"
    runs, skipped = collect([alias, path], "evaluation")
    assert (len(runs), skipped) == (1, [])
    again = write_run(tmp_path / "b", config())
    runs, skipped = collect([path, again], "evaluation")
    assert [run.path for run in runs] == [path]
    assert skipped == [f"skipped {again}: repeats {path}: same experiment and same seed"]


def test_directories_of_runs_are_looked_into(tmp_path: Path) -> None:
    a = write_run(tmp_path / "runs" / "sweep" / "a", config(seed=1))
    b = write_run(tmp_path / "runs" / "b", config(seed=2))
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "sweep" / ".cache").mkdir()
    runs, skipped = collect([tmp_path / "runs"], "evaluation")
    assert {run.path for run in runs} == {a, b}
    assert not skipped


def test_untrained_policies_are_runs(tmp_path: Path) -> None:
    random = write_evaluation(tmp_path / "random", [[1.0, 2.0]], untrained("Random"))
    maml = write_evaluation(tmp_path / "maml" / "evaluation", [[1.0, 2.0]], untrained("MAML"))
    runs, skipped = collect([random, maml.parent], "evaluation")
    assert [(run.method, run.settings["iterations"], run.metrics) for run in runs] == [
        ("random", 0, None),
        ("MAML", 0, None),
    ]
    assert not skipped
    (random / "evaluation.json").unlink()
    why = "missing: no evaluation.json, which names the method; evaluate again"
    assert reason(random) == why


def test_a_damaged_evaluation_costs_no_training(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config())
    folder = write_evaluation(path / "evaluation", [[1.0, 2.0]])
    for change in ("return_mean", "task"):
        adaptation([[1.0]]).drop(columns=change).to_csv(folder / "adaptation.csv", index=False)
        (run,), (line,) = collect([path], "evaluation")
        assert run.evaluation is None
        assert line.startswith(f"skipped {folder}: damaged: adaptation.csv (KeyError")
        assert f"'{change}'" in line
    table = adaptation([[1.0, 2.0], [3.0, 4.0]])
    table.drop(index=1).to_csv(folder / "adaptation.csv", index=False)
    assert "lacks tasks or gradient steps" in collect([path], "evaluation")[1][0]


def test_the_folder_of_the_evaluation_can_be_chosen(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", config())
    write_evaluation(path / "evaluation", [[1.0]])
    write_evaluation(path / "evaluation-9", [[9.0]])
    (run,), _ = collect([path], "evaluation-9")
    assert run.evaluation is not None
    assert run.evaluation.returns.tolist() == [[9]]


def test_evaluations_must_be_alike(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / str(seed), config(seed=seed)) for seed in range(1, 6)]
    for path in paths[:3]:
        write_evaluation(path / "evaluation", [[1.0], [2.0]], {"iteration": 4, "inner_lr": [0.1]})
    write_evaluation(paths[3] / "evaluation", [[1.0], [2.0]], episodes=20)
    write_evaluation(paths[4] / "evaluation", [[1.0]])
    facts = {"iteration": 2, "inner_lr": [0.1]}
    (paths[0] / "evaluation" / "evaluation.json").write_text(json.dumps(facts))
    runs, skipped = collect(paths, "evaluation")
    assert [run.evaluation is not None for run in runs] == [False, True, True, False, False]
    assert [line.partition("mixed: ")[2] for line in skipped] == [
        "other tasks than in most of the evaluations",
        "other numbers of episodes than in most of the evaluations",
        "other iterations or rates than in most of the evaluations",
    ]
