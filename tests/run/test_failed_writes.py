"""A write that fails: one line, the previous checkpoint intact, and the same numbers once it is fixed."""

import errno
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from meta_rl.run import files as storage
from meta_rl.run.command import main

FOLDER = Path("runs/tiny/checkpoints")
LONG = "--trainer.max_steps=5"
FILES = {"last.ckpt": errno.ENOSPC, "best.ckpt": errno.EROFS}


class Disk:
    """Lets a number of writes to certain files succeed; the next one fails half done."""

    def __init__(self, reason: int, end: str, good: int) -> None:
        self.reason, self.end, self.good = reason, end, good

    def __call__(self, stream: BinaryIO, content: bytes) -> None:
        if self.end in str(stream.name):
            self.good -= 1
        if self.good < 0:
            stream.write(content[: len(content) // 2])
            stream.flush()
            raise OSError(self.reason, os.strerror(self.reason))
        stream.write(content)


@pytest.mark.parametrize(("file", "reason"), FILES.items())
def test_a_write_that_fails_ends_the_run_and_it_can_go_on(
    lab: Any, file: str, reason: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.train("--name=whole", LONG, "--checkpoint_every=1") == 0
    assert lab.train("--trainer.max_steps=2", "--checkpoint_every=1") == 0
    before = (FOLDER / "last.ckpt").read_bytes()
    if file == "best.ckpt":
        (FOLDER / "best.ckpt").unlink()  # so that the next one is the best
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_fill", Disk(reason, file, 0))
        assert lab.train("--ckpt_path=last", LONG, "--checkpoint_every=1") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"error: cannot write {FOLDER / file}: {os.strerror(reason)}; ")
    assert line.count("\n") == 1
    assert (FOLDER / "last.ckpt").read_bytes() == before
    assert not list(Path("runs").rglob("*.tmp"))
    command = shlex.split(line.partition("resume with: ")[2])
    assert command[:2] == ["python", "train.py"]
    assert main(command[2:]) == 0
    lab.assert_same("tiny", "whole")


def test_a_first_iteration_that_cannot_be_written_is_repeated(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_fill", Disk(errno.ENOSPC, "ckpt", 0))
        assert lab.train() == 1
    command = shlex.split(capsys.readouterr().err.partition("resume with: ")[2])
    assert command[-1] == "auto"  # there is no last one
    assert main(command[2:]) == 0
    assert lab.train("--name=whole") == 0
    lab.assert_same("tiny", "whole")


def test_a_directory_that_is_removed_in_mid_run_is_one_line(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def remove(stream: BinaryIO, content: bytes) -> None:
        if "ckpt" in str(stream.name):
            shutil.rmtree("runs/tiny")
        stream.write(content)

    monkeypatch.setattr(storage, "_fill", remove)
    assert lab.train() == 1
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith("error: cannot write runs/tiny/")
    assert line.endswith("start anew")


@pytest.mark.parametrize("file", ["config.yaml", "run.json"])
def test_a_start_that_cannot_write_leaves_nothing(
    lab: Any, file: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_fill", Disk(errno.ENOSPC, file, 0))
    lab.runs.mkdir()
    assert refused().startswith(f"cannot write runs/tiny/{file}: No space left on device; ")


@pytest.mark.parametrize("file", ["metrics.csv", "run.json"])
def test_a_resume_that_cannot_write_leaves_the_run_as_it_was(
    lab: Any, file: str, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.finished()
    monkeypatch.setattr(storage, "_fill", Disk(errno.EROFS, file, 0))
    line = refused("--ckpt_path=last", LONG)
    assert line.startswith(f"cannot write runs/tiny/{file}: Read-only file system; ")


def test_a_record_that_cannot_be_completed_is_one_line(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "_fill", Disk(errno.ENOSPC, "run.json", 1))
    assert lab.train() == 1
    assert capsys.readouterr().err == "error: cannot write runs/tiny/run.json: No space left on device\n"
    assert lab.checkpoint()["global_step"] == 3
    monkeypatch.undo()


def test_the_dump_of_a_number_that_is_not_finite_may_not_fit(
    lab: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage, "_fill", Disk(errno.ENOSPC, "nonfinite", 0))
    model = {"class_path": "plugins.Diverging", "init_args": {"policy": {"hidden_sizes": [4]}}}
    assert lab.train(LONG, model=model) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "loss is nan in iteration 3; cannot write runs/tiny/nonfinite-step-3.pt: No space" in error
