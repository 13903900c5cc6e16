"""A sweep on this machine: every point a process with a run directory and a share of the cores of its own."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from meta_rl.errors import UserError, one_line
from meta_rl.run.directory import RECORD, is_held
from meta_rl.run.record import read_starts
from meta_rl.sweep.file import Sweep
from meta_rl.sweep.points import command, names, points, program

OWN = ("--runs_dir=", "--name=", "--ckpt_path=")  # options that belong to the place, not to the experiment

State = Literal["waiting", "finished", "failed", "stopped", "elsewhere"]


@dataclass
class Run:
    """One point of a sweep: its command, its run directory, and its outcome.

    Attributes:
        name: Name of the run and of its directory.
        words: The whole command.
        arguments: The words of the command after the program.
        path: The run directory.
        state: `elsewhere` means that another process is training it; `stopped`, that this sweep.py ended it.
        code: Exit code of the process that was started here; None before it has ended.
        seconds: How long that process took.
        log_start: Size of the log in bytes before that process started, since each start appends to it.
    """

    name: str
    words: list[str]
    arguments: list[str]
    path: Path
    state: State = "waiting"
    code: int | None = None
    seconds: float = 0.0
    log_start: int = 0

    @property
    def log(self) -> Path:
        return self.path.with_name(f"{self.name}.log")

    def written(self) -> list[str]:
        """The lines that the process started here has written so far."""
        text = self.log.read_bytes()[self.log_start :].decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]

    def at(self) -> str:
        """The last of them that tells how training goes, which iteration it is at and with which returns."""
        told = [line for line in self.written() if line.startswith("iteration ")]
        return told[-1] if told else "starting"

    def look(self) -> None:
        """Find out from the run directory whether the run is finished or trained elsewhere.

        Raises:
            UserError: if the directory holds the run of another command.
        """
        starts = read_starts(self.path / RECORD)
        if starts and _experiment(shlex.split(starts[0]["command"])[2:]) != _experiment(self.arguments):
            raise UserError(
                f"{self.path}: was started by another command than the sweep's now; move it away, rename "
                "the sweep file, or choose another --runs_dir"
            )
        if starts and starts[-1]["outcome"] == "done":
            self.state = "finished"
        elif self.path.is_dir() and is_held(self.path):
            self.state = "elsewhere"


def _experiment(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith(OWN)]


def plan(sweep: Sweep, root: Path, count: int | None, part: tuple[int, int]) -> list[Run]:
    """The runs of a sweep, with their state so far.

    Args:
        sweep: The sweep file's content.
        root: Folder of the run directories.
        count: Number of points; None for all of a grid.
        part: (i, n) for every n-th point from the i-th, counted from 1.

    Raises:
        UserError: if the program is missing, a directory holds another run, or two points have one name.
    """
    start = program(sweep)
    if len(start) == 1 and not Path(sweep.program).is_file():
        raise UserError(
            f"{sweep.path}: program {sweep.program} is not here; start in the project's directory"
        )
    chosen = points(sweep, count)
    labels = names(sweep, chosen)
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if labels.count(label) > 1)
        raise UserError(f"{sweep.path}: two points would both be {double}; their values must differ by more")
    runs = []
    for name, point in list(zip(labels, chosen, strict=True))[part[0] - 1 :: part[1]]:
        words = [*command(sweep, point), f"--runs_dir={root}", f"--name={name}", "--ckpt_path=auto"]
        behind = words.index(start[-1]) + 1 if start[-1] in words else 1
        runs.append(Run(name, words, words[behind:], root / name))
    for run in runs:
        run.look()
    return runs


@dataclass
class Pool:
    """Runs `jobs` processes at a time, each on its share of the cores.

    Attributes:
        jobs: Largest number of processes at a time.
        stopping: Whether no further run is to be started.
        running: The run of each process, the cores it is pinned to, and its start on the monotonic clock.
    """

    jobs: int
    stopping: bool = False
    running: dict[subprocess.Popen, tuple[Run, Sequence[int], float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ended: SimpleQueue[subprocess.Popen] = SimpleQueue()
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        # More processes than cores share all of them, with one thread each.
        shares = [cores[i :: self.jobs] if self.jobs <= len(cores) else [] for i in range(self.jobs)]
        self.free = deque[Sequence[int]](shares)

    def start(self, run: Run, group: str) -> None:
        """Start a run on free cores, with its output in its log.

        Args:
            run: The run.
            group: Name under which W&B groups the runs of a sweep.

        Raises:
            UserError: if the process cannot be started.
        """
        cores = self.free.popleft()
        environment = {k: v for k, v in os.environ.items() if k not in ("WANDB_SWEEP_ID", "WANDB_RUN_ID")}
        environment.setdefault("WANDB_RUN_GROUP", group)
        environment.setdefault("OMP_NUM_THREADS", str(len(cores) or 1))
        environment.setdefault("PYTHONUNBUFFERED", "1")  # so that errors come last in the log, too
        try:
            run.log.parent.mkdir(parents=True, exist_ok=True)
            with run.log.open("ab") as log:
                run.log_start = log.tell()
                # A process group of its own: Ctrl-C reaches it through `stop` only.
                options = {"stdout": log, "stderr": log, "env": environment, "process_group": 0}
                process = subprocess.Popen(run.words, stdin=subprocess.DEVNULL, **options)
        except (OSError, ValueError) as error:  # no room, no right, no such program, a NUL in an argument
            reason = getattr(error, "strerror", None) or one_line(error)
            raise UserError(f"{run.log}: cannot start {shlex.join(run.words[:2])}: {reason}") from None
        self.running[process] = (run, cores, time.monotonic())
        if self.stopping:  # a signal has come meanwhile
            process.terminate()
        if cores:
            os.sched_setaffinity(process.pid, cores)
        threading.Thread(target=self._watch, args=[process], daemon=True).start()

    def wait(self, seconds: float | None = None) -> Run | None:
        """Wait until a process ends; its run, with its outcome filled in. None if that takes too long."""
        try:
            process = self.ended.get(timeout=seconds)
        except Empty:
            return None
        run, cores, start = self.running.pop(process)
        self.free.append(cores)
        run.code, run.seconds = process.returncode, time.monotonic() - start
        asked = {128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
        stopped = self.stopping and run.code in asked
        run.state = "finished" if run.code == 0 else "stopped" if stopped else "failed"
        return run

    def stop(self, kill: bool = False) -> None:
        """Start no further runs. Ask the running ones to save and exit, or kill them and their workers."""
        self.stopping = True
        for process in list(self.running):
            try:
                if kill:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    os.kill(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue

    def _watch(self, process: subprocess.Popen) -> None:
        process.wait()
        self.ended.put(process)
