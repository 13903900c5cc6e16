"""Runs that differ in nothing but the seed, and the settings in which such groups differ."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from meta_rl.report.evaluation import Evaluation
from meta_rl.report.run import Run
from meta_rl.report.select import as_key
from meta_rl.report.settings import as_text, method_rank

ITERATIONS = "iterations"  # the length of the training counts as a setting


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one experiment with several seeds.

    Attributes:
        method: As figures call it.
        settings: What may be varied, by dotted name.
        runs: By ascending seed.
        label: The method, and what tells its groups apart.
    """

    method: str
    settings: dict[str, Any]
    runs: tuple[Run, ...]
    label: str

    @property
    def metrics(self) -> list[pd.DataFrame]:
        """Of the runs whose training is there."""
        return [run.metrics for run in self.runs if run.metrics is not None]

    @property
    def evaluations(self) -> list[Evaluation]:
        """Of the runs that have one."""
        return [run.evaluation for run in self.runs if run.evaluation is not None]


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """The groups, by method as in every legend, then by what varies within the method."""
    together: dict[str, list[Run]] = {}
    for run in runs:
        together.setdefault(as_key([run.method, run.iterations, run.settings]), []).append(run)
    groups = []
    for members in together.values():
        first = members[0]
        settings = {**first.settings, ITERATIONS: first.iterations}
        seeds = tuple(sorted(members, key=lambda run: run.seed))
        groups.append(Group(first.method, settings, seeds, first.method))
    groups.sort(key=lambda group: method_rank(group.method))
    varied = varied_keys(groups)
    ordered = []
    for method in dict.fromkeys(group.method for group in groups):
        own = [group for group in groups if group.method == method]
        ordered += sorted(own, key=lambda g: [order_of(g.settings.get(k)) for k in varied[g.method]])
    names = short_names({key for keys in varied.values() for key in keys})
    return [replace(group, label=_label(group, varied[group.method], names)) for group in ordered]


def varied_keys(groups: Sequence[Group]) -> dict[str, list[str]]:
    """By method, the settings in which its groups differ."""
    varied: dict[str, list[str]] = {}
    for method in dict.fromkeys(group.method for group in groups):
        own = [group.settings for group in groups if group.method == method]
        keys = dict.fromkeys(key for settings in own for key in settings)
        varied[method] = [k for k in keys if len({as_key(s.get(k)) for s in own}) > 1]
    return varied


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted name, or the whole where that is ambiguous."""
    keys = sorted(keys)
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {key: name if last[name := key.rpartition(".")[2]] == 1 else key for key in keys}


def order_of(value: Any) -> tuple[int, float, str]:
    """Sorts numbers by value and before everything else, which goes by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, 0.0, as_text(value))


def _label(group: Group, keys: Sequence[str], names: dict[str, str]) -> str:
    differences = [f"{names[key]} {as_text(group.settings.get(key))}" for key in keys]
    return ", ".join([group.method, *differences])
