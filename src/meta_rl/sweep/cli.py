"""sweep.py: from the command line to the finished runs of a sweep."""

import argparse
import csv
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from meta_rl.errors import UserError
from meta_rl.sweep.file import Sweep, read_sweep
from meta_rl.sweep.local import FIRST_REFUSED, REFUSED, Pool, Run, plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep as the command line says.

    Returns:
        0 when all runs are finished, 1 if some failed, 2 for bad input, 130 or 143 after Ctrl-C or SIGTERM.
        Other exceptions are bugs and keep their traceback.
    """
    try:
        args = _parser().parse_args(argv)
        sweep = read_sweep(args.sweep)
        runs = plan(sweep, args.runs_dir, args.count, args.part)
        if args.dry_run:
            for run in runs:
                print(f"{run.state:8}", *run.words[1:])
            return 0
        return _run(sweep, runs, args.jobs)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(sweep: Sweep, runs: Sequence[Run], jobs: int) -> int:
    waiting = [run for run in runs if run.state == "waiting"]
    finished = len(runs) - len(waiting)
    where = runs[0].path.parent
    print(
        f"{where}: {len(runs)} runs, {finished} finished already, {min(jobs, len(waiting))} at a time",
        flush=True,
    )
    pool, received = Pool(jobs), 0
    bar = tqdm(total=len(runs), initial=finished, unit="run", disable=not sys.stdout.isatty())
    with _signals(pool) as signals, bar:
        while (waiting and not pool.stopping) or pool.running:
            while waiting and not pool.stopping and len(pool.running) < jobs:
                pool.start(waiting.pop(0), sweep.path.stem)
            for run in pool.wait():
                bar.update(run.state == "finished")
                bar.write(_line(run, sum(r.state == "finished" for r in runs), len(runs)))
            tried = [run for run in runs if run.code is not None]
            if len(tried) >= FIRST_REFUSED and all(run.code == REFUSED for run in tried):
                pool.stopping = True  # the sweep is wrong, not one of its points
        received = signals[-1] if signals else 0
    return _summary(runs, received)


def _line(run: Run, finished: int, total: int) -> str:
    return f"[{finished}/{total}] {run.name} {run.state} after {run.seconds:.0f} s{_last_return(run)}"


def _last_return(run: Run) -> str:
    """The last return after adaptation in a run's metrics."""
    file = run.path / "metrics.csv"
    rows = list(csv.DictReader(file.open())) if file.exists() else []
    value = rows[-1].get("return_post") if rows else None
    return f", return after adaptation {float(value):.2f}" if value else ""


def _summary(runs: Sequence[Run], received: int) -> int:
    """Print what became of the runs, failed ones with their last lines; the exit code."""
    failed = [run for run in runs if run.state == "failed"]
    for run in failed:
        print(f"\nfailed: {run.name} (exit code {run.code}), {run.log}:", file=sys.stderr)
        print(*(f"    {line}" for line in run.last_lines()), sep="\n", file=sys.stderr)
    finished = sum(run.state == "finished" for run in runs)
    rest = len(runs) - finished - len(failed)
    parts = [f"{finished} of {len(runs)} runs finished", f"{len(failed)} failed" if failed else ""]
    parts.append(f"{rest} not done" if rest else "")
    hint = "; the same command goes on" if rest or failed else f" in {runs[0].path.parent}"
    print(", ".join(filter(None, parts)) + hint, flush=True)
    if received:
        return 128 + received
    return 1 if failed or rest else 0


@contextmanager
def _signals(pool: Pool) -> Iterator[list[int]]:
    """On Ctrl-C or SIGTERM runs save and end, on a second one they are killed. Yields what was received."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        pool.stop(signal.SIGKILL if len(received) > 1 else signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sweep.py",
        description="Run a W&B sweep file on this machine, without account or network: every point is a "
        "process of its own in RUNS_DIR/SWEEP/. Started again, it skips what is finished and goes on.",
        allow_abbrev=False,
    )
    count = _at_least(1)
    parser.add_argument(
        "sweep", type=Path, help="A file in W&B's format, method grid or random: sweeps/*.yaml."
    )
    parser.add_argument(
        "--jobs", type=count, default=1, help="Runs at a time, each on its share of the cores."
    )
    parser.add_argument("--count", type=count, help="Only the first points (random: how many, default 10).")
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="I/N",
        help="Every N-th point from the I-th, for N machines.",
    )
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="Default: runs.")
    parser.add_argument("--dry_run", action="store_true", help="Only print the commands.")
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return parse


def _part(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    part = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part[0] <= part[1]:
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/8, got {text!r}")
    return part
