"""Runs that differ in nothing but the seed, and the settings in which such groups differ."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import yaml

from meta_rl.report.runs import EvaluationResult, RunResult

ORDER = ("MAML", "FOMAML", "Reptile", "ES-MAML", "pretrained", "oracle", "random")
ITERATIONS = "iterations"  # the length of the training, which counts as a setting


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one experiment with several seeds.

    Attributes:
        method: Name of the method in figures and tables.
        settings: By dotted name, the settings that may be varied, and the number of iterations.
        runs: The runs, by ascending seed.
        label: The method, followed by the settings in which its groups differ.
    """

    method: str
    settings: dict[str, Any]
    runs: tuple[RunResult, ...]
    label: str

    @property
    def metrics(self) -> list[pd.DataFrame]:
        """For each trained run, the table of metrics.csv."""
        return [run.metrics for run in self.runs if run.metrics is not None]

    @property
    def evaluations(self) -> list[EvaluationResult]:
        """The evaluations of the runs that have one."""
        return [run.evaluation for run in self.runs if run.evaluation is not None]


def group_runs(runs: Iterable[RunResult]) -> list[Group]:
    """The groups, in the order of methods in every legend, then by the settings that vary within a method."""
    together: dict[str, list[RunResult]] = {}
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


def _label(group: Group, keys: Sequence[str], names: dict[str, str]) -> str:
    differences = [f"{names[key]} {value_text(group.settings.get(key))}" for key in keys]
    return ", ".join([group.method, *differences])


@dataclass(frozen=True)
class Factor:
    """A setting that is varied.

    Attributes:
        key: Dotted name of the setting, such as model.inner_lr.
        name: Its name in legends and headings.
        values: All its values, ascending.
        reference: The value at which figures are drawn that are not about this factor.
        followers: Dotted names of other settings that change only together with this one.
    """

    key: str
    name: str
    values: tuple[Any, ...]
    reference: Any
    followers: tuple[str, ...] = ()

    def heading(self, value: Any) -> str:
        """The name and a value, for the title of a panel."""
        return f"{self.name} {value_text(value)}"

    def of(self, group: Group) -> Any:
        """The value that a group has; the reference for a method without such a setting."""
        return group.settings.get(self.key, self.reference)


def find_factors(groups: Sequence[Group]) -> list[Factor]:
    """The settings that vary within at least one method.

    The reference is the value of most groups; of equally frequent values it is the upper median: of 5, 10, 20
    and 40 it is 20.
    """
    leaders = _leaders(groups)
    names = short_names(leaders)
    factors = []
    for key, followers in leaders.items():
        found = [group.settings[key] for group in groups if key in group.settings]
        values = sorted({as_key(value): value for value in found}.values(), key=order_of)
        counts = [found.count(value) for value in values]
        frequent = [value for value, n in zip(values, counts, strict=True) if n == max(counts)]
        reference = frequent[len(frequent) // 2]
        factors.append(Factor(key, names[key], tuple(values), reference, tuple(followers)))
    return factors


def _leaders(groups: Sequence[Group]) -> dict[str, list[str]]:
    """The settings that vary, each with those that its value determines within every method.

    Another inner rate with an initial standard deviation that suits it is one change, not two.
    """
    varied = varied_keys(groups)
    methods = {key: [m for m in varied if key in varied[m]] for keys in varied.values() for key in keys}

    def pairs(*keys: str) -> set[tuple[str, ...]]:
        return {
            (group.method, *(as_key(group.settings.get(key)) for key in keys))
            for group in groups
            if group.method in methods[keys[0]]
        }

    leaders: dict[str, list[str]] = {}
    for key in sorted(methods, key=lambda k: (-len(methods[k]), -len(pairs(k)))):  # stable
        for leader, followers in leaders.items():
            if set(methods[key]) <= set(methods[leader]) and len(pairs(leader)) == len(pairs(leader, key)):
                followers.append(key)
                break
        else:
            leaders[key] = []
    return leaders


def reference_groups(groups: Sequence[Group], factors: Sequence[Factor]) -> dict[str, Group]:
    """By method, the group with the most reference values; the first of several."""

    def agreement(group: Group) -> int:
        return sum(factor.of(group) == factor.reference for factor in factors)

    methods = dict.fromkeys(group.method for group in groups)
    return {m: max((g for g in groups if g.method == m), key=agreement) for m in methods}


def peers(groups: Sequence[Group], group: Group, factors: Sequence[Factor]) -> dict[str, Group]:
    """By method, the group with the same values of all factors as `group`, itself included."""
    return {g.method: g for g in groups if all(f.of(g) == f.of(group) for f in factors)}


def alongside(groups: Sequence[Group], centre: Group, factors: Sequence[Factor]) -> list[Group]:
    """The groups of the centre's method that differ from it in nothing but `factors`."""
    keys = {key for factor in factors for key in (factor.key, *factor.followers)}
    mine = {key: value for key, value in centre.settings.items() if key not in keys}
    return [
        group
        for group in groups
        if group.method == centre.method
        and mine == {key: value for key, value in group.settings.items() if key not in keys}
    ]


def method_rank(method: str) -> tuple[int, str]:
    """A sort key that gives the order of methods in every table and legend; unknown ones come last."""
    return (ORDER.index(method) if method in ORDER else len(ORDER), method)


def value_text(value: Any) -> str:
    """The value of a setting as legends and headings show it.

    >>> value_text([0.5, 0.25])
    '0.5, 0.25'
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_key(value: Any) -> str:
    """A text that is the same for equal plain values, nested or not: to compare and count them by."""
    return yaml.safe_dump(value, sort_keys=True)


def order_of(value: Any) -> tuple[int, float, str]:
    """A sort key: numbers by value, before everything else by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, 0.0, value_text(value))


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted name, or the whole where that is ambiguous."""
    keys = sorted(keys)
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {key: name if last[name := key.rpartition(".")[2]] == 1 else key for key in keys}
