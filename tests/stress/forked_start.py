"""Starts of train.py and evaluate.py in forks of one process that has loaded everything already."""

import json
import math
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from meta_rl.evaluation import command as evaluate_cli
from meta_rl.run import command as cli
from meta_rl.run import session as training  # noqa: F401  loaded once, for all forks

MEMORY = 3 << 30  # bytes that a case may ask for besides what is loaded
SECONDS = 12.0  # that a case may take


@dataclass
class Outcome:
    """How a start ended; no code if it took too long."""

    code: int | None
    out: str
    err: str
    seconds: float

    def refused(self) -> bool:
        """Whether it is an error of one line."""
        return self.code == 2 and self.err.startswith("error: ") and self.err.count("\n") == 1

    def diverged(self) -> bool:
        """Whether a number has stopped being finite, which the last line says; warnings may precede it."""
        lines = self.err.splitlines() or [""]
        return self.code == 1 and lines[-1].startswith("error: ") and " in iteration " in lines[-1]


@dataclass
class Finding:
    """A mutated file, what became of it, and what is wrong with that."""

    case: str
    mutation: str
    problem: str
    outcome: dict[str, Any] = field(default_factory=dict)


def start(words: Sequence[str], folder: Path, program: str = "train.py") -> Outcome:
    """Call an entry point in a process of its own, in `folder`, with limited memory and time."""
    folder.mkdir(parents=True, exist_ok=True)
    files, begin = (folder / "stdout.txt", folder / "stderr.txt"), time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _become(words, folder, program, files)
    code = _wait(pid, begin + SECONDS)
    out, err = (file.read_bytes().decode(errors="replace") for file in files)
    for file in files:
        file.unlink()
    return Outcome(code, out, err, time.monotonic() - begin)


def _become(words: Sequence[str], folder: Path, program: str, files: tuple[Path, Path]) -> None:
    """The child: never returns."""
    code = 99
    try:
        os.setsid()
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115  not a test's
        os.chdir(folder)
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.argv = [program, *words]
        main: Callable[..., int] = cli.main if program == "train.py" else evaluate_cli.main
        code = main(list(words))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def left(folder: Path, known: set[Path]) -> list[str]:
    """What a start has left in its folder; an empty `runs` does not count."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p not in known and not _empty(p)]


def _empty(path: Path) -> bool:
    return path.name == "runs" and path.is_dir() and not any(path.iterdir())


def work(config: Any) -> float:
    """About the environment steps of an iteration; what cannot be read counts as shipped."""

    def number(*keys: str, default: float) -> float:
        value = config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
        return abs(value) if right and value else default

    batch = number("data", "meta_batch_size", default=40) * number("data", "fast_batch_size", default=20)
    horizon = number("data", "env", "init_args", "horizon", default=200)
    inner = number("model", "init_args", "num_inner_steps", default=1)
    return batch * horizon * (inner + 1)


def finite(checkpoint: Path) -> bool:
    tensors = torch.load(checkpoint, weights_only=True)["state_dict"].values()
    return all(bool(torch.isfinite(t).all()) for t in tensors)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def resolved(run: Path) -> Any:
    return yaml.safe_load((run / "config.yaml").read_text())


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return json.loads(json.dumps([vars(f) for f in findings], default=str))
