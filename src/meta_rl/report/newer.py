"""Settings that came into being after a run was made."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from meta_rl.report.run import Run
from meta_rl.report.settings import NAMES
from meta_rl.run.constructor import constructor_parameters


def with_newer_settings(runs: Sequence[Run]) -> list[Run]:
    """The runs, with the defaults of arguments that they lack and others of the same method have.

    Only for the package's own methods: what an argument of another class defaults to is in code that need not
    be here.
    """
    known: dict[str, set[str]] = {}
    for run in runs:
        known.setdefault(run.method, set()).update(run.settings)
    return [_complete(run, known[run.method] - set(run.settings)) for run in runs]


def _complete(run: Run, missing: set[str]) -> Run:
    if not missing:
        return run
    defaults = {key: value for key, value in _defaults(run.method).items() if key in missing}
    return replace(run, settings={**run.settings, **defaults})


def _defaults(method: str) -> dict[str, Any]:
    """The defaults of a method's arguments, inherited ones too, by dotted name; none of an unknown one."""
    from meta_rl import algorithms  # loads torch, which most reports do without

    originals = {name: original for original, name in NAMES.items()}
    parameters = constructor_parameters(getattr(algorithms, originals.get(method, method), None))
    return {f"model.{name}": p.default for name, p in parameters.items() if p.default is not p.empty}
