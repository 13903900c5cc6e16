"""From the paths of a command line to the runs of one report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meta_rl.report.evaluation import read_evaluation
from meta_rl.report.newer import with_newer_settings
from meta_rl.report.run import Run, read_evaluated, read_trained
from meta_rl.report.select import evaluated_alike, of_one_family, without_repeats
from meta_rl.report.unusable import Skipped, Unusable

DEPTH = 2  # runs/NAME and runs/SWEEP/NAME are found in runs


def collect(paths: Sequence[Path], evaluation: str) -> tuple[list[Run], Skipped]:
    """The runs that make one report, and a line for everything that is left out.

    Args:
        paths: Run directories, or directories of them.
        evaluation: Name of the folder in each run that holds its evaluation.
    """
    skipped = Skipped()
    runs: list[Run] = []
    seen: set[Path] = set()
    for path in (found for start in paths for found in find_runs(start, evaluation)):
        if path.resolve() in seen:
            skipped.add(path, "named twice, counted once")
            continue
        seen.add(path.resolve())
        try:
            runs.append(_read(path, evaluation, skipped))
        except Unusable as error:
            skipped.add(path, error)
    runs = with_newer_settings(runs)
    for choose in (of_one_family, without_repeats, evaluated_alike):
        runs = choose(runs, skipped)
    return runs, skipped


def find_runs(path: Path, evaluation: str, depth: int = DEPTH) -> list[Path]:
    """`path` itself, or the runs in it if it is none but holds some."""
    if _looks_like_run(path, evaluation) or not path.is_dir() or not depth:
        return [path]
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [run for p in inside for run in find_runs(p, evaluation, depth - 1)]
    return [run for run in found if _looks_like_run(run, evaluation)] or [path]


def _looks_like_run(path: Path, evaluation: str) -> bool:
    files = ("config.yaml", "metrics.csv", "adaptation.csv", f"{evaluation}/adaptation.csv")
    return any((path / file).exists() for file in files)


def _read(path: Path, evaluation: str, skipped: Skipped) -> Run:
    """A run with its evaluation; if only the evaluation is unusable, the run without it."""
    if not path.is_dir():
        raise Unusable("not a directory" if path.exists() else "not found")
    if not _looks_like_run(path, evaluation):
        raise Unusable("no run: neither config.yaml, metrics.csv nor adaptation.csv is there")
    if not any((path / file).exists() for file in ("config.yaml", "metrics.csv")):
        alone = (path / "adaptation.csv").exists()
        return read_evaluated(path, read_evaluation(path if alone else path / evaluation))
    run, folder = read_trained(path), path / evaluation
    if not (folder / "adaptation.csv").exists():
        return run
    try:
        return replace(run, evaluation=read_evaluation(folder))
    except Unusable as error:
        skipped.add(folder, error)
        return run
