"""Which runs belong in one report: one task family, nothing twice, evaluations that can be compared."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import yaml

from meta_rl.report.evaluation import Evaluation
from meta_rl.report.run import Run
from meta_rl.report.unusable import Skipped

T = TypeVar("T")


def of_one_family(runs: Sequence[Run], skipped: Skipped) -> list[Run]:
    """The runs with the most frequent task family."""
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


def without_repeats(runs: Sequence[Run], skipped: Skipped) -> list[Run]:
    """The first run of each experiment and seed."""
    first: dict[str, Run] = {}
    for run in runs:
        who = as_key([run.method, run.iterations, run.seed, run.settings])
        if who in first:
            skipped.add(run.path, f"repeats {first[who].path}: same experiment and same seed")
        first.setdefault(who, run)
    return list(first.values())


def evaluated_alike(runs: Sequence[Run], skipped: Skipped) -> list[Run]:
    """The runs without evaluations that differ from most in tasks, episodes, or within a method's seeds."""
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


PROTOCOL: dict[str, Callable[[Evaluation], Hashable]] = {
    "tasks": lambda evaluation: evaluation.tasks.to_csv(float_format="%.5g"),
    "numbers of episodes": lambda evaluation: evaluation.episodes,
    "iterations or rates": lambda e: as_key([e.facts.get("iteration"), e.facts.get("inner_lr")]),
}


def _scope(what: str, run: Run) -> str:
    """Among which runs an evaluation has to be alike: all, but for what each experiment may choose."""
    return as_key([run.method, run.iterations, run.settings]) if what == "iterations or rates" else ""


def as_key(value: Any) -> str:
    """Plain nested values as something to compare and count."""
    return yaml.safe_dump(value, sort_keys=True)


def _most_common(items: Sequence[T], key: Callable[[T], Hashable]) -> T:
    """The first item with the most frequent key."""
    counts = Counter(map(key, items))
    return max(items, key=lambda item: counts[key(item)])
