"""Which settings a set of runs varies, and which of their values the other figures are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meta_rl.report.groups import Group, order_of, short_names, varied_keys
from meta_rl.report.select import as_key
from meta_rl.report.settings import as_text


@dataclass(frozen=True)
class Factor:
    """A setting that is varied.

    Attributes:
        key: Dotted name.
        name: As legends and headings call it.
        values: All of them, ascending.
        reference: The one at which the other figures are made.
        followers: Other settings, dotted names, that change only where this one does.
    """

    key: str
    name: str
    values: tuple[Any, ...]
    reference: Any
    followers: tuple[str, ...] = ()

    def heading(self, value: Any) -> str:
        """Name and value, as the title of a panel."""
        return f"{self.name} {as_text(value)}"

    def of(self, group: Group) -> Any:
        """The value of a group; the reference for a method that has no such setting."""
        return group.settings.get(self.key, self.reference)


def find_factors(groups: Sequence[Group]) -> list[Factor]:
    """What varies within at least one method. The reference is the value of most groups.

    Of equally frequent ones it is the upper median: of 5, 10, 20, 40 it is 20.
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
    """Settings that vary, each with those that its value determines within every method.

    Whoever tries another inner rate with an initial deviation to suit it varies one thing, not two.
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
    """By method, the group that agrees with most of the reference values; the first of several."""

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
