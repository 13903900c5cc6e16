"""Which runs make one report: one task family, nothing twice, evaluations that can be compared."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from meta_rl.report.groups import as_key
from meta_rl.report.runs import (
    ADAPTATION,
    CONFIG,
    METRICS,
    EvaluationResult,
    RunResult,
    Skipped,
    Unusable,
    default_settings,
    read_evaluated,
    read_evaluation,
    read_trained,
)

DEPTH = 2  # runs/NAME and runs/SWEEP/NAME are found in runs

T = TypeVar("T")


def collect(paths: Sequence[Path], evaluation: str) -> tuple[list[RunResult], Skipped]:
    """The runs that make one report, and a line for everything that is left out.

    Args:
        paths: Run directories, or directories of run directories.
        evaluation: Name of the folder in each run directory that holds its evaluation.
    """
    skipped = Skipped()
    runs: list[RunResult] = []
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
    """The runs in a directory of runs; `path` itself if it is a run or holds none."""
    if _looks_like_run(path, evaluation) or not path.is_dir() or not depth:
        return [path]
    inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [run for p in inside for run in find_runs(p, evaluation, depth - 1)]
    return [run for run in found if _looks_like_run(run, evaluation)] or [path]


def _looks_like_run(path: Path, evaluation: str) -> bool:
    files = (CONFIG, METRICS, ADAPTATION, f"{evaluation}/{ADAPTATION}")
    return any((path / file).exists() for file in files)


def _read(path: Path, evaluation: str, skipped: Skipped) -> RunResult:
    """The run in a directory with its evaluation, or without it if only the evaluation is unusable."""
    if not path.is_dir():
        raise Unusable("not a directory" if path.exists() else "not found")
    if not _looks_like_run(path, evaluation):
        raise Unusable(f"no run: neither {CONFIG}, {METRICS} nor {ADAPTATION} is there")
    if not any((path / file).exists() for file in (CONFIG, METRICS)):
        alone = (path / ADAPTATION).exists()
        return read_evaluated(path, read_evaluation(path if alone else path / evaluation))
    run, folder = read_trained(path), path / evaluation
    if not (folder / ADAPTATION).exists():
        return run
    try:
        return replace(run, evaluation=read_evaluation(folder))
    except Unusable as error:
        skipped.add(folder, error)
        return run


def with_newer_settings(runs: Sequence[RunResult]) -> list[RunResult]:
    """The runs, with the defaults of settings that they lack and other runs of the same method have.

    A setting that came after a run was made is missing in its configuration. Only the package's own methods
    are completed: the code of another one need not be installed.
    """
    known: dict[str, set[str]] = {}
    for run in runs:
        known.setdefault(run.method, set()).update(run.settings)
    return [_complete(run, known[run.method] - set(run.settings)) for run in runs]


def _complete(run: RunResult, missing: set[str]) -> RunResult:
    if not missing:
        return run
    defaults = {key: value for key, value in default_settings(run.method).items() if key in missing}
    return replace(run, settings={**run.settings, **defaults})


def of_one_family(runs: Sequence[RunResult], skipped: Skipped) -> list[RunResult]:
    """The runs of the most frequent task family."""
    if not runs:
        return []
    wanted = _most_common(runs, lambda run: as_key(run.family))
    kept = []
    for run in runs:
        for key in {**wanted.family, **run.family}:
            mine, theirs = (r.family.get(key, "not set") for r in (run, wanted))
            if mine != theirs:
                skipped.add(run.path, f"mixed: {key} is {mine}, in most of the runs {theirs}")
                break
        else:
            kept.append(run)
    return kept


def without_repeats(runs: Sequence[RunResult], skipped: Skipped) -> list[RunResult]:
    """The first run of each experiment and seed."""
    first: dict[str, RunResult] = {}
    for run in runs:
        who = as_key([run.method, run.iterations, run.seed, run.settings])
        if who in first:
            skipped.add(run.path, f"repeats {first[who].path}: same experiment and same seed")
        first.setdefault(who, run)
    return list(first.values())


def evaluated_alike(runs: Sequence[RunResult], skipped: Skipped) -> list[RunResult]:
    """The runs without those evaluations that differ from most in `PROTOCOL`."""
    kept = list(runs)
    for what, key in PROTOCOL.items():
        evaluated = [(run, run.evaluation) for run in kept if run.evaluation is not None]
        odd = set()
        for experiment in dict.fromkeys(_scope(what, run) for run, _ in evaluated):
            peers = [e for run, e in evaluated if _scope(what, run) == experiment]
            wanted = key(_most_common(peers, key))
            odd |= {id(e) for e in peers if key(e) != wanted}
        for _, evaluation in evaluated:
            if id(evaluation) in odd:
                skipped.add(evaluation.path, f"mixed: other {what} than in most of the evaluations")
        kept = [replace(run, evaluation=None) if id(run.evaluation) in odd else run for run in kept]
    return [run for run in kept if run.metrics is not None or run.evaluation is not None]


PROTOCOL: dict[str, Callable[[EvaluationResult], Hashable]] = {
    "tasks": lambda evaluation: evaluation.tasks.to_csv(float_format="%.5g"),
    "numbers of episodes": lambda evaluation: evaluation.episodes,
    "iterations or rates": lambda e: as_key([e.facts.get("iteration"), e.facts.get("inner_lr")]),
}


def _scope(what: str, run: RunResult) -> str:
    """A key of the runs that must agree in `what`: all, but for what each experiment may choose."""
    return as_key([run.method, run.iterations, run.settings]) if what == "iterations or rates" else ""


def _most_common(items: Sequence[T], key: Callable[[T], Hashable]) -> T:
    """The first item with the most frequent key."""
    counts = Counter(map(key, items))
    return max(items, key=lambda item: counts[key(item)])
