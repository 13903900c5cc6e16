"""results/collect.sh: runs kept in little space, and put back where they go on."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "results/collect.sh"


def collect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)


def test_there_and_back(lab: Any) -> None:
    """On a new machine a finished run is whole, and an unfinished one ends as if it had stayed."""
    assert lab.train("--name=whole", "--trainer.max_steps=6") == 0
    assert lab.train("--name=half", "--trainer.max_steps=4") == 0
    evaluation = lab.runs / "whole/evaluation"
    evaluation.mkdir()
    (evaluation / "adaptation.csv").write_text("task\n0\n")
    (evaluation / "adaptation.png").write_bytes(b"large")
    result = collect("runs", "store")
    assert (result.returncode, result.stderr) == (0, "")
    kept = {str(p.relative_to("store/whole")) for p in Path("store/whole").rglob("*") if p.is_file()}
    expected = {"checkpoints/last.ckpt", "metrics.csv.gz", "run.json", "config.yaml"}
    assert kept == {*expected, "evaluation/adaptation.csv"}

    lab.runs.rename("lost")
    assert collect("--restore", "runs", "store").returncode == 0
    for file in ("run.json", "metrics.csv", "checkpoints/last.ckpt"):
        assert (lab.runs / "whole" / file).read_bytes() == (Path("lost/whole") / file).read_bytes()
    assert lab.train("--name=half", "--trainer.max_steps=6", "--ckpt_path=auto") == 0
    lab.assert_same("half", "whole")


def test_metrics_ahead_of_the_checkpoint_go_on_too(lab: Any) -> None:
    """As of a run that was training while it was collected: its last iterations are trained again."""
    assert lab.train("--name=whole", "--trainer.max_steps=6") == 0
    assert lab.train("--name=half", "--trainer.max_steps=5") == 0
    checkpoints = lab.runs / "half/checkpoints"
    checkpoints.joinpath("step-4.ckpt").replace(checkpoints / "last.ckpt")
    assert collect("runs", "store").returncode == 0
    lab.runs.joinpath("half").rename("lost")
    assert collect("--restore", "runs", "store").returncode == 0
    assert lab.train("--name=half", "--trainer.max_steps=6", "--ckpt_path=auto") == 0
    lab.assert_same("half", "whole")


def test_what_is_there_is_left_alone_and_a_new_collection_replaces_the_old(lab: Any) -> None:
    assert lab.train("--trainer.max_steps=2") == 0
    assert collect("runs", "store").returncode == 0
    assert lab.train("--trainer.max_steps=3", "--ckpt_path=last") == 0
    before = lab.content()
    result = collect("--restore", "runs", "store")
    assert "runs/tiny is there already: left alone" in result.stdout
    assert lab.content() == before
    assert collect("runs", "store").returncode == 0
    last = "tiny/checkpoints/last.ckpt"
    assert (Path("store") / last).read_bytes() == (lab.runs / last).read_bytes()


def test_a_run_that_began_anew_does_not_replace_what_is_stored(lab: Any) -> None:
    assert lab.train("--trainer.max_steps=3") == 0
    assert collect("runs", "store").returncode == 0
    before = {p: p.read_bytes() for p in Path("store").rglob("*") if p.is_file()}
    lab.runs.rename("lost")
    assert lab.train("--trainer.max_steps=2") == 0
    result = collect("runs", "store")
    assert "store/tiny has trained further: left alone" in result.stdout
    assert {p: p.read_bytes() for p in Path("store").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["--restore", "runs", "nowhere"], ["empty"]])
def test_mistakes_get_one_line(lab: Any, arguments: list[str]) -> None:
    Path("empty").mkdir()
    result = collect(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert sorted(p.name for p in Path().iterdir()) == ["empty"]
