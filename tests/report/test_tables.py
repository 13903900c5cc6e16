"""What the page says of each run."""

import json
from pathlib import Path

import numpy as np
from directories import config, untrained, write_evaluation, write_run, write_study

from meta_rl.report.build import build
from meta_rl.report.tables import Table

MACHINE = {"processor": "abacus", "cores": 2}


def start(**changes: object) -> dict[str, object]:
    """An entry of run.json."""
    entry = {"command": "python train.py", "started": "2026-01-01T00:00:00+00:00", "commit": "abc"}
    entry |= {"versions": {"torch": "9"}, "machine": MACHINE, "seconds": 60.0, "outcome": "done"}
    return entry | changes


def test_runs_with_and_without_a_record(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", config(seed=1))
    new = write_run(tmp_path / "new", config(seed=2))
    facts = {"iteration": 4, "seed": 0, "inner_lr": [0.1], "command": "python evaluate.py"}
    write_evaluation(new / "evaluation", [[1.0, 2.0]], facts)
    starts = [start(outcome="stopped"), start(command="python train.py --ckpt_path last", seconds=90.0)]
    (new / "run.json").write_text(json.dumps({"starts": starts}))
    report = build([tmp_path], "evaluation", {})
    first, second = report.runs
    assert (first.name, second.name) == (old.as_posix(), new.as_posix())
    assert first.facts == {
        "method": "MAML",
        "seed": 1,
        "iterations": 4,
        "environment steps": "4,000",
        "minutes of sampling and updates": "0.1",
    }
    assert first.commands == ()
    last = {name: value for name, value in start(seconds=90.0).items() if name != "command"}
    evaluated = {"evaluation": "evaluation", "evaluation, iteration": 4, "evaluation, seed": 0}
    assert second.facts == {
        **first.facts,
        "seed": 2,
        "starts": 2,
        **last,
        **evaluated,
        "evaluation, inner_lr": [0.1],
    }
    assert second.commands == ("python train.py", "python train.py --ckpt_path last", "python evaluate.py")
    assert "seed_everything: 2" in second.config


def test_times_of_different_machines(tmp_path: Path) -> None:
    for seed, machine in enumerate((MACHINE, {"processor": "slide rule"}), 1):
        run = write_run(tmp_path / str(seed), config(seed=seed))
        (run / "run.json").write_text(json.dumps({"starts": [start(machine=machine)]}))
    assert "Runs were made on 2 different machines: compare no times." in build([tmp_path], "x", {}).notes


def test_the_summary_leaves_out_what_nobody_has(tmp_path: Path) -> None:
    write_run(tmp_path / "maml", config())
    report = build([tmp_path], "evaluation", {})
    columns = ("method", "seeds", "return while training", "million env steps", "minutes")
    assert report.summary == Table(columns, (("MAML", "1", "2.50", "0.004", "0.0667"),))
    assert report.title == "MAML on PointMass"
    random = write_evaluation(tmp_path / "random", [[-120.0, 2.0]], untrained())
    report = build([tmp_path, random], "evaluation", {})
    row = dict(zip(report.summary.columns, report.summary.data[1], strict=True))
    assert (row["return, 0 steps"], row["return, 1 step"], row["minutes"]) == ("-120.0", "2.00", "")


def test_an_evaluation_before_the_end_is_noted(tmp_path: Path) -> None:
    for name, iteration in (("a", 4), ("b", 2)):
        run = write_run(tmp_path / name / "run", config())
        write_evaluation(run / "evaluation", [[1.0]], {"iteration": iteration})
    sentence = "MAML is evaluated after 2 iterations; its training goes on to 4."
    assert sentence not in build([tmp_path / "a"], "evaluation", {}).notes
    assert sentence in build([tmp_path / "b"], "evaluation", {}).notes


def test_steps_that_are_not_taken_have_no_return(tmp_path: Path) -> None:
    for method, returns in (("MAML", [[1.0, 2.0]]), ("Oracle", [[3.0]])):
        write_evaluation(write_run(tmp_path / method, config(method)) / "evaluation", returns)
    summary = build([tmp_path], "evaluation", {}).summary
    assert [row[summary.columns.index("return, 1 step")] for row in summary.data] == ["2.00", ""]


def test_a_verdict_at_each_setting(tmp_path: Path) -> None:
    stream = np.random.default_rng(1)
    for method in ("MAML", "FOMAML"):
        for rate in (0.1, 0.5):
            for seed in (1, 2, 3):
                loss = 30 * (method == "FOMAML" and rate == 0.5)
                run = write_run(
                    tmp_path / f"{method}-{rate}-{seed}", config(method, seed, inner_lr=rate, horizon=100)
                )
                write_evaluation(run / "evaluation", [[-40.0, x - loss] for x in stream.normal(-12, 0.2, 3)])
    report = build([tmp_path], "evaluation", {})
    assert report.summary.columns[-1] == "beside MAML"
    words = {row[0]: row[-1] for row in report.summary.data}
    assert words == {
        "MAML, inner_lr 0.1": "",
        "MAML, inner_lr 0.5": "",
        "FOMAML, inner_lr 0.1": "equivalent",
        "FOMAML, inner_lr 0.5": "worse",
    }
    assert [verdict.word for verdict in report.verdicts] == ["worse"]  # 0.5 is the upper median
    assert "Where no ablation is shown, the runs are those with inner_lr 0.5." in report.notes


def test_a_single_seed_is_said_once(tmp_path: Path) -> None:
    report = build([write_study(tmp_path / "one", seeds=1)], "evaluation", {})
    expected = "A single seed shows no spread and has no interval over seeds: MAML, FOMAML."
    assert [note for note in report.notes if "seed" in note] == [expected]
    assert not any("seed" in text for text in (v.remark for v in report.verdicts))
    report = build([write_study(tmp_path / "two")], "evaluation", {})
    assert not any("single seed" in note for note in report.notes)
