"""Which runs make one report: one task family, nothing twice, evaluations that can be compared."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from meta_rl.report.groups import as_key, experiment
from meta_rl.report.runs import EvaluationResult, RunResult, Unusable, read_run
from meta_rl.run.directory import ADAPTATION, CONFIG, METRICS

DEPTH = 2  # runs/NAME and runs/SWEEP/NAME are found in runs
PROTOCOL: dict[str, Callable[[EvaluationResult], str]] = {  # what evaluations must have in common
    "tasks": lambda evaluation: evaluation.tasks.to_csv(float_format="%.5g"),
    "numbers of episodes": lambda evaluation: str(evaluation.episodes),
    "iterations or rates": lambda e: as_key([e.facts.get("iteration"), e.facts.get("inner_lr")]),
}


def collect(paths: Sequence[Path], evaluation: str) -> tuple[list[RunResult], list[str]]:
    """The runs that make one report, and a line for everything that is left out.

    Args:
        paths: Run directories, or directories of run directories.
        evaluation: Name of the folder in each run directory that holds its evaluation.
    """
    skipped: list[str] = []
    runs: list[RunResult] = []
    found: dict[Path, Path] = {}  # a run that is named twice counts once
    for path in (run for start in paths for run in find_runs(start, evaluation)):
        found.setdefault(path.resolve(), path)
    for path in found.values():
        try:
            runs.append(read_run(path, evaluation, skipped))
        except Unusable as error:
            skipped.append(f"skipped {path}: {error}")
    for choose in (of_one_family, without_repeats, evaluated_alike):
        runs = choose(runs, skipped)
    return runs, skipped


def find_runs(path: Path, evaluation: str, depth: int = DEPTH) -> list[Path]:
    """The runs in a directory of runs; `path` itself if it is a run or holds none."""

    def is_run(path: Path) -> bool:
        files = (CONFIG, METRICS, ADAPTATION, f"{evaluation}/{ADAPTATION}")
        return any((path / file).exists() for file in files)

    if is_run(path) or not path.is_dir() or not depth:
        return [path]
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [run for p in inside for run in find_runs(p, evaluation, depth - 1)]
    return [run for run in found if is_run(run)] or [path]


def of_one_family(runs: Sequence[RunResult], skipped: list[str]) -> list[RunResult]:
    """The runs of the most frequent task family."""
    kept = []
    families = Counter(as_key(run.family) for run in runs)
    most = [run.family for run in runs if families[as_key(run.family)] == max(families.values())]
    for run in runs:
        if odd := [key for key in {**most[0], **run.family} if run.family.get(key) != most[0].get(key)]:
            mine, theirs = (family.get(odd[0], "not set") for family in (run.family, most[0]))
            skipped.append(f"skipped {run.path}: mixed: {odd[0]} is {mine}, in most of the runs {theirs}")
        else:
            kept.append(run)
    return kept


def without_repeats(runs: Sequence[RunResult], skipped: list[str]) -> list[RunResult]:
    """The first run of each experiment and seed."""
    first: dict[tuple[str, int], RunResult] = {}
    for run in runs:
        kept = first.setdefault((experiment(run), run.seed), run)
        if kept is not run:
            skipped.append(f"skipped {run.path}: repeats {kept.path}: same experiment and same seed")
    return list(first.values())


def evaluated_alike(runs: Sequence[RunResult], skipped: list[str]) -> list[RunResult]:
    """The runs without those evaluations that differ from most in `PROTOCOL`.

    Iterations and rates are compared within an experiment, tasks and episodes among all.
    """
    kept = list(runs)
    for what, key in PROTOCOL.items():
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        scopes = [experiment(run) if what == "iterations or rates" else "" for run in kept]
        for scope, run in zip(scopes, kept, strict=True):
            if run.evaluation is not None:
                votes[scope][key(run.evaluation)] += 1
        for i, (scope, run) in enumerate(zip(scopes, kept, strict=True)):
            if run.evaluation and key(run.evaluation) != votes[scope].most_common(1)[0][0]:
                path, kept[i] = run.evaluation.path, replace(run, evaluation=None)
                skipped.append(f"skipped {path}: mixed: other {what} than in most of the evaluations")
    return [run for run in kept if run.metrics is not None or run.evaluation is not None]
