"""Configurations as nested and flat dicts, and what in them belongs to the machine."""

from collections.abc import Mapping
from typing import Any

MACHINE = {"num_threads", "num_workers"}  # arguments of a task family that change no result


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, keyed by dotted names.

    >>> flatten({"data": {"env": {"horizon": 3}}})
    {'data.env.horizon': 3}
    """
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    branches = [flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for branch in branches for key, value in branch.items()}


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what suits one machine and not the next."""
    return {**config, "data": {**config["data"], "env": _without_machine(config["data"]["env"])}}


def family_arguments(env: Mapping[str, Any]) -> dict[str, Any]:
    """The flat arguments of a task family, but for those that belong to the machine."""
    arguments = flatten(env.get("init_args") or {}, "data.env")
    return {key: value for key, value in arguments.items() if key.rpartition(".")[2] not in MACHINE}


def _without_machine(tree: Any) -> Any:
    """Nested dicts without the arguments in MACHINE, also those of a wrapped environment."""
    if not isinstance(tree, dict):
        return tree
    return {key: _without_machine(value) for key, value in tree.items() if key not in MACHINE}
