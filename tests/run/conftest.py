"""A folder to train in, with runs so small that each takes a fraction of a second."""

import copy
import csv
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from meta_rl.run.command import main

TINY = {
    "seed_everything": 1,
    "checkpoint_every": 2,
    "model": {
        "class_path": "meta_rl.algorithms.FOMAML",
        "init_args": {"inner_lr": 0.1, "policy": {"hidden_sizes": [4]}},
    },
    "data": {
        "env": {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5}},
        "meta_batch_size": 2,
        "fast_batch_size": 2,
    },
    "trainer": {"max_steps": 3},
}


ANT = {
    "env": {"class_path": "meta_rl.envs.AntDirection", "init_args": {"horizon": 5, "num_threads": 1}},
    "meta_batch_size": 2,
    "fast_batch_size": 2,
}


class Lab:
    """Starts train.py in this process, in a folder of its own."""

    shared: Path  # a finished run

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"

    def write(self, file: str = "tiny.yaml", **changes: Any) -> Path:
        """A config file of the tiny experiment with some top-level keys changed."""
        config = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
        (self.path / file).write_text(yaml.safe_dump(config))
        return self.path / file

    def finished(self) -> None:
        """A run `tiny` that has ended, as `train()` leaves it; a copy of one that many tests share."""
        shutil.copytree(self.shared, self.runs / "tiny")
        self.write()

    def train(self, *args: str, file: str = "tiny.yaml", **changes: Any) -> int:
        """Write the config file and start; the exit code."""
        return main([f"--config={self.write(file, **changes)}", *args])

    def checkpoint(self, name: str = "tiny", file: str = "last.ckpt") -> dict[str, Any]:
        return torch.load(self.runs / name / "checkpoints" / file, weights_only=True)

    def metrics(self, name: str = "tiny") -> list[dict[str, str]]:
        """Rows of metrics.csv without what the clock decides."""
        with (self.runs / name / "metrics.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        clock = ("time_", "memory", "env_steps_per_s")
        return [{k: v for k, v in row.items() if not k.startswith(clock)} for row in rows]

    def kept(self, name: str = "tiny") -> set[str]:
        """Names of the checkpoints step-N.ckpt."""
        return {file.name for file in (self.runs / name / "checkpoints").glob("step-*")}

    def assert_same(self, one: str, other: str) -> None:
        """Two runs have ended with the same numbers to the last bit, and logged the same."""
        a, b = self.checkpoint(one), self.checkpoint(other)
        assert a["global_step"] == b["global_step"]
        assert str(a["optimizer_states"]) == str(b["optimizer_states"])
        for name, value in a["state_dict"].items():
            assert torch.equal(value, b["state_dict"][name]), name
        assert self.metrics(one) == self.metrics(other)

    def content(self) -> dict[Path, bytes]:
        """Every file below the runs directory."""
        return {p: p.read_bytes() if p.is_file() else b"" for p in self.runs.rglob("*")}


@pytest.fixture
def ant() -> dict[str, Any]:
    """The section `data` of a tiny experiment in MuJoCo."""
    return copy.deepcopy(ANT)


@pytest.fixture
def no_nohup() -> Iterator[None]:
    """A hang-up is not ignored, whatever has started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("finished"))
        patch.setenv("WANDB_MODE", "disabled")
        patch.setattr("sys.argv", ["train.py"])
        torch.set_num_threads(1)
        assert Lab(Path.cwd()).train() == 0
        return Path.cwd() / "runs/tiny"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_run: Path) -> Lab:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    lab = Lab(tmp_path)
    lab.shared = finished_run
    return lab


@pytest.fixture
def refused(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Start with something wrong. Checks exit code, one line, no file touched; returns the line."""

    def start(*args: str, **changes: Any) -> str:
        before = lab.content()
        capsys.readouterr()
        assert lab.train(*args, **changes) == 2
        output = capsys.readouterr()
        assert output.err.startswith("error: ")
        assert output.err.count("\n") == 1
        assert lab.content() == before
        return output.err.removeprefix("error: ").strip()

    return start
