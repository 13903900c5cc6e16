"""A sweep on this machine: every point a process with a run directory and a share of the cores of its own."""

import os
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from meta_rl.errors import UserError
from meta_rl.experiment.provenance import read_starts
from meta_rl.sweep.file import Sweep
from meta_rl.sweep.points import command, names, points

LAST_LINES = 5  # of a failed run's log
REFUSED = 2  # the exit code for bad input
FIRST_REFUSED = 3  # so many at the start, and the rest is not tried

State = Literal["waiting", "finished", "failed", "stopped"]


@dataclass
class Run:
    """One point: its command, where it writes, and what became of it."""

    name: str
    words: list[str]
    path: Path
    state: State = "waiting"
    code: int | None = None
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.name}.log")

    def last_lines(self) -> list[str]:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line for line in lines if line.strip()][-LAST_LINES:]

    def look(self) -> None:
        """Recognise a finished run. Raises a UserError if the directory holds that of another command."""
        starts = read_starts(self.path / "run.json")
        if not starts:
            return
        if shlex.split(starts[0]["command"])[1:] != self.words[1:]:
            raise UserError(
                f"{self.path}: was started by another command than the sweep's now; move it away, rename "
                "the sweep file, or choose another --runs_dir"
            )
        self.state = "finished" if starts[-1]["outcome"] == "done" else "waiting"


def plan(sweep: Sweep, runs_dir: Path, count: int | None, part: tuple[int, int]) -> list[Run]:
    """The runs of a sweep, or of part i of n; those that are finished already say so.

    Raises:
        UserError: if a directory holds something else, or two points would share one.
    """
    if not Path(sweep.program).is_file():
        raise UserError(
            f"{sweep.path}: program {sweep.program} is not here; start in the project's directory"
        )
    root, chosen = runs_dir / sweep.path.stem, points(sweep, count)
    labels = names(sweep, chosen)
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if labels.count(label) > 1)
        raise UserError(f"{sweep.path}: two points are both named {double}; remove the repeated value")
    runs = []
    for name, point in list(zip(labels, chosen, strict=True))[part[0] - 1 :: part[1]]:
        own = [f"--runs_dir={root}", f"--name={name}", "--ckpt_path=auto"]
        runs.append(Run(name, command(sweep, point) + own, root / name))
    for run in runs:
        run.look()
    return runs


@dataclass
class Pool:
    """Runs `jobs` processes at a time, each on its share of the cores.

    Attributes:
        jobs: Processes at a time.
        stopping: Whether to start no more: after a signal, or when the first runs are all refused.
    """

    jobs: int
    stopping: bool = False
    running: dict[subprocess.Popen, tuple[Run, Sequence[int], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        # More processes than cores share all of them, with one thread each.
        shares = [cores[i :: self.jobs] if self.jobs <= len(cores) else [] for i in range(self.jobs)]
        self.free = deque[Sequence[int]](shares)

    def start(self, run: Run, group: str) -> None:
        """Start a run on free cores, its output in its log."""
        cores = self.free.popleft()
        environment = {k: v for k, v in os.environ.items() if k not in ("WANDB_SWEEP_ID", "WANDB_RUN_ID")}
        environment.setdefault("WANDB_RUN_GROUP", group)
        environment.setdefault("OMP_NUM_THREADS", str(len(cores) or 1))
        run.log.parent.mkdir(parents=True, exist_ok=True)
        with run.log.open("a") as log:
            # A process group of its own: Ctrl-C reaches it through `stop` only.
            process = subprocess.Popen(
                run.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0
            )
        if cores:
            os.sched_setaffinity(process.pid, cores)
        self.running[process] = (run, cores, time.monotonic())

    def wait(self) -> list[Run]:
        """Wait until a process ends; the runs that have ended, with their state."""
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        ended = [process for process in self.running if process.poll() is not None]
        return [self._end(process) for process in ended]

    def _end(self, process: subprocess.Popen) -> Run:
        run, cores, start = self.running.pop(process)
        self.free.append(cores)
        run.code, run.seconds = process.returncode, time.monotonic() - start
        stopped = self.stopping and run.code in (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM)
        run.state = "finished" if run.code == 0 else "stopped" if stopped else "failed"
        return run

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Let no more start, and ask those that run to save and end."""
        self.stopping = True
        for process in self.running:
            process.send_signal(number)
