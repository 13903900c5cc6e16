"""Runs that differ in nothing but the seed, and the settings in which such groups differ."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.report.runs import EvaluationResult, RunResult

ORDER = ("MAML", "FOMAML", "Reptile", "ES-MAML", "pretrained", "oracle", "random")


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one experiment with several seeds.

    Attributes:
        method: Name of the method in figures and tables.
        settings: By dotted name, the settings that may be varied.
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

    @property
    def steps(self) -> int:
        """The number of gradient steps of the evaluations, -1 if there are none."""
        return min((evaluation.steps for evaluation in self.evaluations), default=-1)

    def returns_after(self, step: int) -> np.ndarray:
        """Returns [seeds, tasks] after `step` gradient steps, or after the last of fewer."""
        return np.stack([evaluation.after(step) for evaluation in self.evaluations])


@dataclass(frozen=True)
class Factor:
    """A setting that is varied.

    Attributes:
        key: Dotted name of the setting, such as model.inner_lr.
        name: Its name in legends and headings.
        values: All its values, ascending.
        reference: The value at which figures are drawn that are not about this factor.
    """

    key: str
    name: str
    values: tuple[Any, ...]
    reference: Any

    def heading(self, value: Any) -> str:
        """The name and a value, for the title of a panel."""
        return f"{self.name} {value_text(value)}"

    def of(self, group: Group) -> Any:
        """The value that a group has; the reference for a method without such a setting."""
        return group.settings.get(self.key, self.reference)


def experiment(run: RunResult) -> str:
    """A key of the runs that differ in nothing but the seed."""
    return as_key([run.method, run.settings])


def group_runs(runs: Iterable[RunResult]) -> list[Group]:
    """The groups, in the order of methods in every legend, then by the settings that vary within a method."""
    together: dict[str, list[RunResult]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.seed):
        together[experiment(run)].append(run)
    groups = [Group(own[0].method, own[0].settings, tuple(own), "") for own in together.values()]
    numbers = _texts(groups).groupby(level=0).nunique()  # of values [methods, settings]
    varied = {method: list(numbers.columns[row > 1]) for method, row in numbers.iterrows()}
    names = short_names({key for keys in varied.values() for key in keys})

    def place(group: Group) -> tuple:
        rank = ORDER.index(group.method) if group.method in ORDER else len(ORDER)
        return rank, group.method, [_order(group.settings.get(key)) for key in varied[group.method]]

    def label(group: Group) -> str:
        values = {names[key]: value_text(group.settings.get(key)) for key in varied[group.method]}
        return ", ".join([group.method, *(f"{name} {value}" for name, value in values.items())])

    return [replace(group, label=label(group)) for group in sorted(groups, key=place)]


def find_factors(groups: Sequence[Group]) -> list[Factor]:
    """The settings that vary within at least one method.

    The reference is the value of most groups; of equally frequent values it is the upper median: of 5, 10, 20
    and 40 it is 20.
    """
    keys = _independent(_texts(groups))
    names = short_names(keys)
    factors = []
    for key in keys:
        texts = [as_key(group.settings[key]) for group in groups if key in group.settings]
        values = sorted(map(yaml.safe_load, set(texts)), key=_order)
        counts = [texts.count(as_key(value)) for value in values]
        frequent = [value for value, n in zip(values, counts, strict=True) if n == max(counts)]
        factors.append(Factor(key, names[key], tuple(values), frequent[len(frequent) // 2]))
    return factors


def _independent(texts: pd.DataFrame) -> list[str]:
    """The settings that vary, without those that another one's value determines within every method.

    Another inner rate with an initial standard deviation that suits it is one change, not two.
    """
    numbers = texts.groupby(level=0).nunique()  # of values [methods, settings]
    found: list[str] = []
    # What determines another setting has at least as many values in every method.
    for key in sorted(numbers.columns[(numbers > 1).any()], key=lambda key: -numbers[key].sum()):
        if not any((texts.groupby([texts.index, one])[key].nunique() == 1).all() for one in found):
            found.append(key)
    return found


def _texts(groups: Sequence[Group]) -> pd.DataFrame:
    """The settings of all groups as texts, a row for each group under its method."""
    rows = [{key: as_key(value) for key, value in group.settings.items()} for group in groups]
    return pd.DataFrame(rows, index=[group.method for group in groups]).fillna(as_key(None))


def reference_groups(groups: Sequence[Group], factors: Sequence[Factor]) -> dict[str, Group]:
    """By method, the group with the most reference values; the first of several."""

    def agreement(group: Group) -> int:
        return sum(factor.of(group) == factor.reference for factor in factors)

    methods = dict.fromkeys(group.method for group in groups)
    return {m: max((g for g in groups if g.method == m), key=agreement) for m in methods}


def alongside(
    groups: Sequence[Group], chosen: Mapping[str, Group], factors: Sequence[Factor], shown: Sequence[Factor]
) -> list[Group]:
    """The groups that differ from the chosen one of their method in nothing but the `shown` factors."""
    fixed = [factor for factor in factors if factor not in shown]
    return [g for g in groups if all(factor.of(g) == factor.of(chosen[g.method]) for factor in fixed)]


def by_value(groups: Sequence[Group], factor: Factor | None) -> dict[str, list[Group]]:
    """The groups under the headings of a factor's values; without a factor all under ""."""
    if factor is None:
        return {"": list(groups)}
    together = {factor.heading(v): [g for g in groups if factor.of(g) == v] for v in factor.values}
    return {heading: own for heading, own in together.items() if own}


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


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """The last part of each dotted name, or the whole where that is ambiguous."""
    keys = sorted(keys)
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {key: name if last[name := key.rpartition(".")[2]] == 1 else key for key in keys}


def _order(value: Any) -> tuple[int, float, str]:
    """A sort key of values: numbers by value, before everything else by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, float(value), "")
    return (1, 0.0, value_text(value))
