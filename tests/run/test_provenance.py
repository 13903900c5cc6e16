"""run.json: what it says of every start, and of one that was killed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meta_rl.errors import UserError
from meta_rl.run.command import main
from meta_rl.run.directory import RunDirectory
from meta_rl.run.record import commit, machine, read_starts, versions


def starts(lab: Any, name: str = "tiny") -> list[dict[str, Any]]:
    return read_starts(lab.runs / name / "run.json")


def test_a_start_is_recorded_with_command_versions_and_machine(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.write("a file.yaml")
    (lab.path / "program.py").touch()
    monkeypatch.setattr("sys.argv", ["program.py", "--config", "a file.yaml", "--name=tiny"])
    assert main() == 0
    (start,) = starts(lab)
    assert shlex.split(start["command"]) == ["python", "program.py", "--config", "a file.yaml", "--name=tiny"]
    assert (start["first_step"], start["last_step"], start["outcome"]) == (0, 3, "done")
    assert 0 <= start["seconds"] < 100
    assert start["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert start["versions"].keys() >= {"meta_rl", "torch", "lightning", "torchopt", "mujoco"}
    assert start["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert start["machine"]["device"] == "cpu with 1 threads"
    assert start["started"].endswith("+00:00")


def test_every_start_adds_an_entry(lab: Any) -> None:
    lab.finished()
    assert lab.train("--ckpt_path=last", "--trainer.max_steps=5") == 0
    assert [(s["first_step"], s["last_step"]) for s in starts(lab)] == [(0, 3), (3, 5)]


@pytest.mark.parametrize(
    ("learner", "code", "outcome", "last"),
    [("Terminated", 143, "stopped", 2), ("Diverging", 1, "failed", 2), ("BrokenLater", None, "failed", 2)],
)
def test_how_a_start_ended(lab: Any, learner: str, code: int | None, outcome: str, last: int) -> None:
    model = {"class_path": f"plugins.{learner}", "init_args": {"policy": {"hidden_sizes": [4]}}}
    if code is None:
        with pytest.raises(ZeroDivisionError):
            lab.train("--trainer.max_steps=5", model=model)
    else:
        assert lab.train("--trainer.max_steps=5", model=model) == code
    (start,) = starts(lab)
    assert (start["outcome"], start["last_step"]) == (outcome, last)


def test_a_start_that_is_refused_leaves_no_record(lab: Any) -> None:
    epoch = ["--trainer.max_steps=-1", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    assert lab.train(*epoch) == 0
    assert lab.train(*epoch, "--ckpt_path=last") == 2
    assert [(s["last_step"], s["outcome"]) for s in starts(lab)] == [(2, "done")]


def test_no_secret_and_no_host_is_recorded(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret" * 7)
    assert lab.train() == 0
    text = (lab.runs / "tiny/run.json").read_text()
    assert "secretsecret" not in text
    assert os.uname().nodename not in text.replace("localhost", "")


@pytest.mark.parametrize("text", ["", "[]", '{"starts": [3]}', '{"starts": [{"command": "x"}]}'])
def test_a_damaged_record_is_one_line(lab: Any, refused: Callable[..., str], text: str) -> None:
    lab.finished()
    (lab.runs / "tiny/run.json").write_text(text)
    assert "runs/tiny/run.json: not the record of a run; move it away" in refused(
        "--ckpt_path=last", "--trainer.max_steps=5"
    )


def test_auto_starts_anew_and_then_goes_on(lab: Any) -> None:
    assert lab.train("--ckpt_path=auto") == 0
    assert lab.train("--ckpt_path=auto", "--trainer.max_steps=5") == 0
    assert [s["first_step"] for s in starts(lab)] == [0, 3]
    assert [row["step"] for row in lab.metrics()] == ["1", "2", "3", "4", "5"]


def test_auto_writes_over_what_a_start_left_without_a_checkpoint(lab: Any) -> None:
    assert lab.train("--trainer.max_steps=2") == 0
    expected = lab.metrics()
    shutil.rmtree(lab.runs / "tiny/checkpoints")
    record = lab.runs / "tiny/run.json"
    killed = json.loads(record.read_text())
    killed["starts"][0] |= {"outcome": None, "last_step": None, "seconds": None}
    record.write_text(json.dumps(killed))
    assert lab.train("--ckpt_path=auto", "--trainer.max_steps=2") == 0
    assert lab.metrics() == expected
    assert [s["outcome"] for s in starts(lab)] == [None, "done"]


def test_auto_has_nothing_to_do_in_a_finished_run(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lab.finished()
    before = lab.content()
    assert lab.train("--ckpt_path=auto") == 0
    assert "runs/tiny: finished already, 3 iterations" in capsys.readouterr().out
    assert lab.content() == before


def test_auto_completes_the_record_of_a_run_that_was_killed_at_its_very_end(lab: Any) -> None:
    lab.finished()
    record = lab.runs / "tiny/run.json"
    record.write_text(record.read_text().replace('"done"', "null"))
    assert lab.train("--ckpt_path=auto") == 0
    assert [s["outcome"] for s in starts(lab)] == ["done"]


def test_a_signal_in_the_last_iteration_comes_too_late(lab: Any) -> None:
    model = {"class_path": "plugins.Terminated", "init_args": {"policy": {"hidden_sizes": [4]}}}
    assert lab.train("--trainer.max_steps=2", model=model) == 0
    assert starts(lab)[0]["outcome"] == "done"


def test_a_file_in_the_place_of_the_directory_is_one_line(lab: Any, refused: Callable[..., str]) -> None:
    lab.runs.mkdir()
    (lab.runs / "tiny").write_text("a file")
    assert "runs/tiny: Not a directory; choose another --name" in refused("--ckpt_path=auto")


def test_a_run_that_another_process_trains_is_left_alone(lab: Any, refused: Callable[..., str]) -> None:
    lab.finished()
    code = (
        "import sys; from meta_rl.run.directory import RunDirectory as R; "
        "r = R('runs', 'tiny'); r.hold(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as other:
        assert other.stdout
        other.stdout.readline()  # it holds the directory now
        line = refused("--ckpt_path=last", "--trainer.max_steps=5")
        other.kill()
    assert "runs/tiny: another process is training this run" in line
    assert lab.train("--ckpt_path=last", "--trainer.max_steps=5") == 0


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))  # without git
        assert commit() is None
    inside = tmp_path / "theirs/site-packages"  # installed into a checkout of something else
    inside.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", inside.parent], check=True)
    monkeypatch.setattr("meta_rl.run.record.CHECKOUT", inside)
    assert commit() is None
    assert set(versions()) >= {"python", "numpy"}
    assert machine()["processor"]


def test_a_run_directory_is_free_again_after_its_release(tmp_path: Path) -> None:
    first, second = (RunDirectory(tmp_path, "r") for _ in range(2))
    assert first.make()
    with pytest.raises(UserError, match="another process"):
        second.hold()
    first.release()
    second.hold()
    assert not second.make()
    second.release()
