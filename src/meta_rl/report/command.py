"""report.py: from the command line to figures, tables and one page."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.run import streams
from meta_rl.run.arguments import Parser, path
from meta_rl.run.directory import EVALUATION
from meta_rl.run.program import sibling, usage


def main(argv: Sequence[str] | None = None) -> int:
    """Write a report, or redraw reports, as the command line says.

    Args:
        argv: The arguments after the program's name; None for those of the process.

    Returns:
        0 when done, 2 for bad input, 130 after Ctrl-C. Other exceptions are bugs and keep their traceback.
    """
    if argv is None:
        streams.prepare()
    try:
        args = _parse(argv)
        if args.runs:
            _save(args, made_now(argv))
        for folder in args.redraw or [args.output]:
            _render(folder)
    except OSError as error:
        where = f"{error.filename}: {error.strerror}"
        print(f"error: cannot write {where}; choose another --output", file=sys.stderr)
        return 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def made_now(argv: Sequence[str] | None) -> dict[str, Any]:
    """How this report is made: command, date, commit and versions."""
    from meta_rl.run.record import commit, versions

    return {
        "command": shlex.join([*sibling("report"), *(sys.argv[1:] if argv is None else argv)]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
    }


def make_parser() -> argparse.ArgumentParser:
    """What report.py understands."""
    parser = Parser(
        prog=usage("report"),
        description="Learning curves, ablations, adaptation, costs and verdicts of a set of runs: figures, "
        "the numbers in them, and a page index.html. Runs that are missing, partial, damaged or of another "
        "task family than most are skipped, with a line that says why.",
        allow_abbrev=False,
    )
    runs = "Run directories of train.py, or of evaluate.py for untrained policies; or directories of them."
    output = "Directory to write to (default: report)."
    evaluation = "The folder in each run that holds its evaluation (default: evaluation)."
    abstract = "A paragraph to stand on top of the page."
    margin = (
        "Largest difference between mean scores that does not matter to a verdict (default: 0.05); "
        "choose it before you see the scores."
    )
    redraw = "Instead: rebuild figures and page of reports from their data/*.csv and report.json alone."
    parser.add_argument("runs", type=path, nargs="*", metavar="RUN", help=runs)
    parser.add_argument("--output", type=path, default=Path("report"), help=output)
    parser.add_argument("--evaluation", default=EVALUATION, metavar="NAME", help=evaluation)
    parser.add_argument("--abstract", default="", metavar="TEXT", help=abstract)
    parser.add_argument("--margin", type=float, help=margin)
    parser.add_argument("--redraw", type=path, nargs="+", metavar="REPORT", help=redraw)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    args = make_parser().parse_args(argv)
    if bool(args.runs) == bool(args.redraw):
        raise UserError("give run directories, or --redraw with directories of reports; see --help")
    if not args.evaluation or Path(args.evaluation).name != args.evaluation:
        raise UserError(f"--evaluation: {args.evaluation!r} is not the name of a folder")
    if args.margin is not None and not 0 < args.margin < 1:
        raise UserError(f"--margin: {args.margin:g} is not between 0 and 1, the scores of random and oracle")
    return args


def _save(args: argparse.Namespace, made: dict[str, Any]) -> None:
    """Write the report on the runs to the output folder, without figures and page."""
    from meta_rl.evaluation.equivalence import MARGIN  # here: a mistyped flag need not wait for pandas
    from meta_rl.report.build import build
    from meta_rl.report.files import save

    report = build(args.runs, args.evaluation, made, args.margin or MARGIN)
    for line in report.skipped:
        print(line, file=sys.stderr)
    save(replace(report, abstract=args.abstract), args.output)


def _render(output: Path) -> None:
    """Draw figures and page of the report in the folder `output`, and say so."""
    from meta_rl.report.page import render

    report = render(output)
    print(f"wrote {output / 'index.html'}, figures: {len(report.charts)}, runs: {len(report.runs)}")
