"""sweep.py: from the command line to the finished runs of a sweep."""

import argparse
import csv
import os
import re
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tqdm import tqdm

from meta_rl.errors import UserError
from meta_rl.run import streams
from meta_rl.run.arguments import Parser, path, whole_number
from meta_rl.run.directory import METRICS
from meta_rl.run.program import usage
from meta_rl.run.signals import handling
from meta_rl.sweep.board import Board
from meta_rl.sweep.file import read_sweep
from meta_rl.sweep.local import Pool, Run, plan

REFUSED = 2  # the exit code for bad input
LAST_LINES = 5  # of a failed run's log
FIRST_REFUSED = 3  # so many at the start, and the rest is not tried


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep as the command line says.

    Returns:
        0 when all runs are finished, 1 if some are not, 2 for bad input, 128 and its number after a signal.
        Other exceptions are bugs and keep their traceback.
    """
    if argv is None:
        streams.prepare()
    try:
        args = make_parser().parse_args(argv)
        sweep = read_sweep(args.sweep)
        root = args.runs_dir / args.sweep.stem
        runs = plan(sweep, root, args.count, args.part)
        if args.dry_run:
            for run in runs:
                print(f"{run.state:9}", shlex.join(run.words))
            return 0
        return _run(root, runs, args.jobs)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before the first run; later `_signals` takes care
        return 130


def _run(root: Path, runs: Sequence[Run], jobs: int) -> int:
    waiting = [run for run in runs if run.state == "waiting"]
    finished = sum(run.state == "finished" for run in runs)
    print(f"{root}: {len(runs)} runs, {finished} finished already, {jobs} at a time", flush=True)
    pool = Pool(jobs)
    bar = tqdm(
        total=len(runs), initial=finished, unit="run", file=sys.stdout, disable=not sys.stdout.isatty()
    )
    with _signals(pool) as received, bar, closing(Board(jobs)) as board:
        try:
            while (waiting and not pool.stopping) or pool.running:
                _fill(pool, waiting, root.name)
                run = pool.wait(board.patience()) if pool.running else None
                if run is not None:
                    bar.update(run.state == "finished")
                    bar.write(_line(run, runs))
                    sys.stdout.flush()
                elif pool.running:
                    board.show([run for run, *_ in pool.running.values()])
                pool.stopping |= _hopeless(runs)
        except BaseException:
            pool.stop()
            while pool.running:
                pool.wait()
            raise
    return _summary(root, runs, received[0] if received else 0)


def _fill(pool: Pool, waiting: list[Run], group: str) -> None:
    """Start as many runs as there is room for, except those that have begun elsewhere meanwhile."""
    while waiting and not pool.stopping and len(pool.running) < pool.jobs:
        run = waiting.pop(0)
        run.look()
        if run.state == "waiting":
            pool.start(run, group)


def _hopeless(runs: Sequence[Run]) -> bool:
    """Whether the first runs were all refused as bad input, so that the sweep itself must be wrong."""
    tried = [run for run in runs if run.code is not None]
    refused = len(tried) >= FIRST_REFUSED and all(run.code == REFUSED for run in tried)
    return refused and not any(run.state == "finished" for run in runs)


def _line(run: Run, runs: Sequence[Run]) -> str:
    finished = sum(r.state == "finished" for r in runs)
    return f"[{finished}/{len(runs)}] {run.name} {run.state} after {run.seconds:.0f} s{_last_return(run)}"


def _last_return(run: Run) -> str:
    """The last return after adaptation in a run's metrics."""
    file = run.path / METRICS
    rows = list(csv.DictReader(file.open(encoding="utf-8"))) if file.exists() else []
    value = rows[-1].get("return_post") if rows else None
    return f", return after adaptation {float(value):.2f}" if value else ""


def _summary(root: Path, runs: Sequence[Run], received: int) -> int:
    """Print the outcome of the runs, with the last lines of failed ones; the exit code."""
    for run in runs:
        if run.state == "failed":
            print(f"\nfailed: {run.name} (exit code {run.code}), {run.log}:", file=sys.stderr)
            print(*(f"    {line}" for line in run.written()[-LAST_LINES:]), sep="\n", file=sys.stderr)
    number = Counter(run.state for run in runs)
    others = {
        "failed": number["failed"],
        "trained elsewhere": number["elsewhere"],
        "not done": number["waiting"] + number["stopped"],
    }
    parts = [f"{number['finished']} of {len(runs)} runs finished"]
    parts += [f"{n} {what}" for what, n in others.items() if n]
    hint = "; the same command goes on" if len(parts) > 1 else f" in {root}"
    print(", ".join(parts) + hint, flush=True)
    if received:
        return 128 + received
    return int(len(parts) > 1)


@contextmanager
def _signals(pool: Pool) -> Iterator[list[int]]:
    """On a signal runs save and exit; on a second Ctrl-C they are killed. Yields the signals received."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        pool.stop(kill=received.count(signal.SIGINT) > 1)

    with handling(stop):
        yield received


def make_parser() -> argparse.ArgumentParser:
    """What sweep.py understands."""
    parser = Parser(
        prog=usage("sweep"),
        description="Run a W&B sweep file on this machine, without account or network: every point is a "
        "process of its own in RUNS_DIR/SWEEP/. Started again, it skips what is finished and goes on.",
        allow_abbrev=False,
    )
    count = whole_number(1)
    parser.add_argument(
        "sweep", type=path, help="A file in W&B's format, method grid or random: sweeps/*.yaml."
    )
    parser.add_argument(
        "--jobs", type=count, default=1, help="Runs at a time, each on its share of the cores."
    )
    parser.add_argument("--count", type=count, help="Only the first points (random: how many, default 10).")
    parser.add_argument(
        "--part",
        type=_part,
        default=_own_part(),
        metavar="I/N",
        help="Every N-th point from the I-th, for N machines (default: all; under srun each task's share).",
    )
    parser.add_argument("--runs_dir", type=path, default=Path("runs"), help="Default: runs.")
    parser.add_argument("--dry_run", action="store_true", help="Only print the commands.")
    return parser


def _own_part() -> tuple[int, int]:
    """What one of several tasks of srun does."""
    if "SLURM_STEP_ID" not in os.environ:
        return 1, 1
    return int(os.environ.get("SLURM_PROCID", 0)) + 1, int(os.environ.get("SLURM_NTASKS", 1))


def _part(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    part = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part[0] <= part[1]:
        raise argparse.ArgumentTypeError(f"expected I/N such as 2/8, got {text!r}")
    return part
