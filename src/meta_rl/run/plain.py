"""Configurations as nested and flat dicts, and what in them belongs to the machine."""

from collections.abc import Mapping
from pathlib import Path
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


def at_home(tree: Any) -> Any:
    """Nested dicts and lists with `~/` at a text's beginning replaced by the user's home."""
    if isinstance(tree, dict):
        return {key: at_home(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [at_home(value) for value in tree]
    return str(Path(tree).expanduser()) if isinstance(tree, str) and tree.startswith("~/") else tree


def portable(tree: Any) -> Any:
    """Nested dicts without what suits one machine and not the next."""
    if not isinstance(tree, Mapping):
        return tree
    return {key: portable(value) for key, value in tree.items() if key not in MACHINE}


def family_arguments(env: Mapping[str, Any]) -> dict[str, Any]:
    """The flat arguments of a task family, but for those that belong to the machine."""
    return flatten(portable(env.get("init_args") or {}), "data.env")
