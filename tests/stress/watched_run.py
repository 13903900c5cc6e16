"""Runs of train.py seen from the outside: started, watched by /proc, and compared number by number."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).parents[2]
CLOCK = ("time_", "memory", "env_steps_per_s")  # columns that the machine decides
MARK = "STRESS_RUN"  # in the environment of a run and of whatever it starts
LIMIT = 600  # seconds after which a run hangs


@dataclass
class Launch:
    """A process of train.py with its output in files, and a mark by which its children are found."""

    process: subprocess.Popen[bytes]
    mark: str
    stdout: Path
    stderr: Path
    started: float = field(default_factory=time.time)

    @classmethod
    def of(cls, command: Sequence[str] | str, folder: Path) -> "Launch":
        """Start words, or a line for the shell, in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        mark = uuid.uuid4().hex
        files = folder / "stdout.txt", folder / "stderr.txt"
        words = ["/bin/sh", "-c", f"exec {command}"] if isinstance(command, str) else list(command)
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(words, stdout=out, stderr=err, cwd=folder, env=environment(mark))
        return cls(process, mark, *files)

    def end(self, number: int) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def left(self) -> list[int]:
        """Processes that have outlived it."""
        return [pid for pid in marked(self.mark) if pid != self.process.pid]


def environment(mark: str) -> dict[str, str]:
    """Variables under which `python` is this Python, with the package of this checkout and one thread."""
    before = {"PATH": Path(sys.executable).parent, "PYTHONPATH": ROOT / "src"}
    own = {name: f"{first}{os.pathsep}{os.environ.get(name, '')}" for name, first in before.items()}
    own |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", MARK: mark}
    return {name: value for name, value in os.environ.items() if name != "WANDB_RUN_ID"} | own


def command(config: Path, *words: str) -> list[str]:
    return ["python", str(ROOT / "train.py"), f"--config={config.resolve()}", *words]


def marked(mark: str) -> list[int]:
    """Living processes that carry the mark in their environment."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # another user's process, or one that has gone
            continue
    return found


class Sample(NamedTuple):
    """What a process holds."""

    rss_mb: float
    threads: int
    files: int


def sample(pid: int) -> Sample | None:
    """None once it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        files = len(list((folder / "fd").iterdir()))
        return Sample(int(lines["VmRSS"].split()[0]) / 1000, int(lines["Threads"]), files)
    except (OSError, KeyError):  # a zombie has no memory
        return None


def iterations(run: Path) -> int:
    """Rows of metrics.csv, without reading them as numbers."""
    try:
        return max(0, (run / "metrics.csv").read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


def rows(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv, without what the clock and the machine decide."""
    with (run / "metrics.csv").open() as stream:
        return [{k: v for k, v in r.items() if not k.startswith(CLOCK)} for r in csv.DictReader(stream)]


def equal(a: Any, b: Any) -> bool:
    """Whether two nested values are the same to the last bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
        )
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and bool(a == b or a != a)


def differences(run: Path, reference: Path) -> list[str]:
    """What sets a run apart from one that was never interrupted; nothing of that may."""
    found = []
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (torch.load(r / "checkpoints" / name, weights_only=True) for r in (run, reference))
        for content in (one, other):
            content["meta_rl"]["wandb_run_id"] = content["meta_rl"]["config"]["name"] = ""
        found += [f"{name}: {key}" for key in other if not equal(one.get(key), other[key])]
    names = [{f.name for f in (r / "checkpoints").iterdir()} for r in (run, reference)]
    found += [f"checkpoints: {sorted(names[0] ^ names[1])}"] if names[0] != names[1] else []
    found += ["metrics.csv"] if rows(run) != rows(reference) else []
    return found + [f"left: {file.name}" for file in run.rglob("*.tmp")]


def starts(run: Path) -> list[dict[str, Any]]:
    """The entries of run.json."""
    return json.loads((run / "run.json").read_text())["starts"]


def write(output: Path | None, result: dict[str, Any]) -> None:
    """Keep a result as JSON, if a file is asked for."""
    if output:
        output.write_text(json.dumps(result, indent=1) + "\n")


def quiet_end(launch: Launch) -> None:
    """Whatever happens, leave no process behind."""
    for pid in [launch.process.pid, *launch.left()] if launch.process.poll() is None else launch.left():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
