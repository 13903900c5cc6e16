"""Whole runs of train.py while W&B's server is away, slow or refuses, against a run with W&B disabled.

    python tests/stress/tracking_faults.py                           # all situations, about 10 minutes
    python tests/stress/tracking_faults.py "never answers" 401       # these two

Prints a table with a row for each situation:

    start       seconds until training begins
    iteration   milliseconds of an iteration
    besides     of these, what is neither sampling nor update; logging is part of it
    end         seconds from the last iteration until the process has gone
    uploaded    rows that the server has got
    synced      rows that `wandb sync` uploads afterwards, to a server that works
    lines       lines about W&B on stderr
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from wandb_stand_in import StandIn, serve

ROOT = Path(__file__).parents[2]
STEPS = 60
TINY = ["--data.meta_batch_size=5", "--data.fast_batch_size=5", f"--trainer.max_steps={STEPS}", "--name=run"]
NOWHERE = "http://127.0.0.1:9"  # nothing listens there
RUN = "UpsertBucket"  # the query that creates a run
LIMIT = 300  # seconds for a run
SITUATIONS: dict[str, tuple[str, StandIn | None]] = {  # WANDB_MODE, and the server
    "disabled": ("disabled", None),
    "offline": ("offline", None),
    "works": ("", StandIn()),
    "nothing listens": ("", None),
    "never answers": ("", StandIn("silent")),
    "answers after 3 s": ("", StandIn("slow")),
    "401": ("", StandIn("401")),
    "403": ("", StandIn("403")),
    "500": ("", StandIn("500")),
    "silent once a run has begun": ("", StandIn("silent", until=RUN)),
    "403 once a run has begun": ("", StandIn("403", until=RUN)),
    "500 once a run has begun": ("", StandIn("500", until=RUN)),
    "nonsense once a run has begun": ("", StandIn("nonsense", until=RUN)),
    "online, never answers": ("online", StandIn("silent")),
    "disabled again": ("disabled", None),
}


class Times(NamedTuple):
    start: float
    training: float
    end: float
    code: int


def environment(home: Path, url: str, mode: str) -> dict[str, str]:
    """A user with a key of no account, and a home without settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {
        "HOME": str(home),
        "WANDB_BASE_URL": url,
        "WANDB_API_KEY": "0123456789" * 4,
        "PYTHONUNBUFFERED": "1",
    }
    return kept | own | {"OMP_NUM_THREADS": "1"} | ({"WANDB_MODE": mode} if mode else {})


def run(folder: Path, variables: dict[str, str]) -> Times:
    """Train in `folder`; the times, taken from the first and the last line that train.py prints."""
    config = ROOT / "conf" / "maml_point_mass.yaml"
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(config), *TINY]
    before = begin = done = time.monotonic()
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("runs/run: "):
                begin = time.monotonic()
            elif line.startswith("done: "):
                done = time.monotonic()
        code = process.wait(LIMIT)
    return Times(begin - before, done - begin, time.monotonic() - done, code)


def besides(folder: Path, training: float) -> float:
    """Milliseconds of an iteration besides sampling and update."""
    with (folder / "runs" / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    learning = sum(float(row["time_sampling"]) + float(row["time_update"]) for row in rows)
    return 1e3 * (training - learning) / STEPS


def sync(folder: Path) -> int:
    """Rows that `wandb sync` uploads."""
    records = [str(path) for path in folder.glob("runs/run/wandb/*run-*")]
    if not records:
        return 0
    with serve(StandIn()) as server:
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", *records]
        variables = environment(folder, server.url, "")
        subprocess.run(command, cwd=folder, env=variables, capture_output=True, timeout=LIMIT)
        return len(server.rows)


def situation(name: str) -> str:
    """One line of the table."""
    mode, server = SITUATIONS[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(serve(server)).url if server else NOWHERE
        times = run(folder, environment(folder, url, mode))
        uploaded = len(server.rows) if server else 0
        if times.code:
            return f"| {name} | refused after {times.end:.1f} | | | | {times.code} | | |"
        numbers = (
            f"{times.start:.1f} | {1e3 * times.training / STEPS:.0f} | {besides(folder, times.training):.0f}"
        )
        later = "-" if uploaded == STEPS or mode == "disabled" else str(sync(folder))
        said = sum("W&B" in line for line in (folder / "errors.txt").read_text().splitlines())
        return f"| {name} | {numbers} | {times.end:.1f} | {times.code} | {uploaded} | {later} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("situation", nargs="*", help=f"one or more of: {', '.join(SITUATIONS)}")
    chosen = parser.parse_args().situation or list(SITUATIONS)
    if unknown := set(chosen) - set(SITUATIONS):
        parser.error(f"no such situation: {', '.join(sorted(unknown))}")
    columns = ["start s", "iteration ms", "besides ms", "end s", "exit code", "uploaded", "synced", "lines"]
    print("|", " | ".join(["W&B's server", *columns]), "|")
    print("| --- " * 9 + "|")
    for name in chosen:
        print(situation(name), flush=True)


if __name__ == "__main__":
    main()
