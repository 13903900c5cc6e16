"""Interrupts runs of train.py at random moments, and compares each with a run that was never interrupted.

    python tests/stress/kills.py --config conf/maml_point_mass.yaml --kills 50 -- --trainer.max_steps=30

What follows `--` are options of train.py. A run is started again by the line that it has printed, or with
`--ckpt_path=auto`, until it is done. Then its checkpoints and metrics must equal those of the uninterrupted
run to the last bit, and no process may have outlived a signal. A third of the signals wait until a file is
half written. Prints a table, and exits with 1 if something failed. Linux only.
"""

import argparse
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watched_run import LIMIT, Launch, command, differences, quiet_end, starts, write

RESUME = re.compile(r"resume with: (python .+)")
CODES = {"KILL": {-9}, "TERM": {143}, "INT": {130}}
WRITING = 1 / 3  # share of the interruptions that wait for a file that is being written


@dataclass
class Interruption:
    """One signal, and what became of it."""

    run: int
    planned: float  # seconds after the start
    while_writing: bool  # whether it waited for a half-written file
    start_up: bool = False  # whether it came before the first new row of metrics.csv
    half_written: list[str] = field(default_factory=list)  # what it left
    code: int = 0
    seconds: float = 0.0  # until the process had gone
    outlived: int = 0  # processes that were still there 5 s later
    resume: str = ""
    errors: str = ""


@dataclass
class Stress:
    """An experiment that is interrupted again and again, in `folder`."""

    config: Path
    overrides: Sequence[str]
    signal: str
    folder: Path
    random: random.Random
    seconds: float = 0.0  # that the run without interruption takes
    done: list[Interruption] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def reference(self) -> None:
        """The run that is never interrupted."""
        before = time.monotonic()
        launch = Launch.of(command(self.config, "--name=reference", *self.overrides), self.folder)
        if launch.process.wait(LIMIT):
            raise SystemExit(launch.stderr.read_text())
        self.seconds = time.monotonic() - before

    def run(self, number: int, most: int) -> None:
        """Start one experiment again and again until it is done, interrupted `most` times at most."""
        name = f"run-{number}"
        fresh = command(self.config, f"--name={name}", "--ckpt_path=auto", *self.overrides)
        following: list[str] | str = fresh
        launches = 0
        while True:
            launches += 1
            launch = Launch.of(following, self.folder)
            try:
                if most <= 0 or not (event := self._interrupt(launch, number)):
                    break
            finally:
                if most <= 0:
                    launch.process.wait(LIMIT)
                quiet_end(launch)
            most -= 1
            following = event.resume or fresh
        self._check(self.folder / "runs" / name, launch, launches)

    def _interrupt(self, launch: Launch, number: int) -> Interruption | None:
        """Wait for the moment and send the signal; None if the run has ended before."""
        event = Interruption(number, self.random.uniform(0, self.seconds), self.random.random() < WRITING)
        folder, begin = self.folder / "runs" / f"run-{number}", time.monotonic()
        while time.monotonic() < begin + event.planned or (event.while_writing and not half_written(folder)):
            if launch.process.poll() is not None:
                return None
            time.sleep(0.0002 if event.while_writing else 0.005)
        event.start_up, sent = not trains(folder, launch), time.monotonic()
        code = launch.end(getattr(signal, f"SIG{self.signal}"))
        if code == 0:  # it has ended in this moment
            return None
        event.code, event.seconds = code, time.monotonic() - sent
        event.half_written = half_written(folder)
        event.outlived = outlived(launch)
        event.errors = launch.stderr.read_text()
        resume = RESUME.search(launch.stdout.read_text())
        event.resume = resume[1] if resume else ""
        self._judge(event)
        self.done.append(event)
        return event

    def _judge(self, event: Interruption) -> None:
        died = (
            event.start_up and event.code == -signal.SIGTERM
        )  # while modules were loaded: 143 for the shell
        if not (event.code in CODES[self.signal] or died) or event.outlived or "Traceback" in event.errors:
            self.failures.append(f"{event}")

    def _check(self, run: Path, last: Launch, launches: int) -> None:
        """What the run has in the end."""
        if last.process.returncode:
            self.failures.append(
                f"{run.name}: exit code {last.process.returncode}: {last.stderr.read_text()}"
            )
            return
        self.failures += [f"{run.name}: {d}" for d in differences(run, run.with_name("reference"))]
        entries, configs = starts(run), list(run.glob("config*.yaml"))
        steps = [entry["first_step"] for entry in entries]
        wrong = len(entries) > launches or len(configs) < len(entries) or steps != sorted(steps)
        if wrong or entries[-1]["outcome"] != "done":
            self.failures.append(f"{run.name}: run.json {entries}, {len(configs)} configs, {launches} starts")
        shutil.rmtree(run)


def trains(run: Path, launch: Launch) -> bool:
    """Whether metrics.csv has a row of this start."""
    file = run / "metrics.csv"
    return file.exists() and file.stat().st_mtime >= launch.started


def half_written(run: Path) -> list[str]:
    """Files that are being written."""
    return [file.name for folder in (run, run / "checkpoints") for file in folder.glob("*.tmp")]


def outlived(launch: Launch) -> int:
    """Processes of a run that is dead; W&B's gets 5 s to see it."""
    for _ in range(50):
        if not (left := launch.left()):
            return 0
        time.sleep(0.1)
    return len(left)


def summary(stress: Stress) -> dict[str, Any]:
    done = stress.done
    return {
        "config": stress.config.name,
        "overrides": list(stress.overrides),
        "signal": stress.signal,
        "interruptions": len(done),
        "runs": len({event.run for event in done}),
        "in_start_up": sum(event.start_up for event in done),
        "waited_for_a_write": sum(event.while_writing for event in done),
        "left_half_a_file": sum(bool(event.half_written) for event in done),
        "most_seconds_to_exit": round(max((event.seconds for event in done), default=0.0), 2),
        "codes": {str(code): sum(e.code == code for e in done) for code in {e.code for e in done}},
        "failures": stress.failures,
        "events": [vars(event) for event in done],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", choices=CODES, default="KILL")
    parser.add_argument("--output", type=Path, help="JSON with everything")
    parser.add_argument("overrides", nargs="*", help="options of train.py, behind --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        stress = Stress(args.config, args.overrides, args.signal, Path(folder), random.Random(args.seed))
        stress.reference()
        number = 0
        while len(stress.done) < args.kills:
            stress.run(number, args.kills - len(stress.done))
            number += 1
            write(args.output, summary(stress))
            print(f"{len(stress.done)} of {args.kills}, {len(stress.failures)} failures", file=sys.stderr)
    for key, value in summary(stress).items():
        if key not in ("events", "failures", "overrides"):
            print(f"{key:28} {value}")
    failures = [f"failed: {failure}" for failure in stress.failures]
    print(*failures, f"{len(failures)} failures", sep="\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
