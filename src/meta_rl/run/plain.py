"""Configurations as plain types: YAML, nested dicts, flat ones, and what in them belongs to the machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from meta_rl.errors import UserError, one_line

# Arguments of a task family that belong to the machine: they change no result.
MACHINE = {"num_threads", "num_workers"}


MAX_VALUES = 100_000  # of a file whose aliases are written out
MERGE = "tag:yaml.org,2002:merge"


class Loader(yaml.SafeLoader):
    """Refuses what YAML allows and nobody means: a key that is there twice, and aliases without end."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node


def read_yaml(file: Path, kind: str, folder: str, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        file: To read.
        kind: What it should be, such as `config`; for the errors, as all that follows.
        folder: Where shipped ones are.
        keys: Some that it should have.

    Raises:
        UserError: if it cannot be read, or holds something else.
    """
    try:
        content = yaml.load(file.read_text(), Loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"{kind} file {str(file)!r}: {reason}; shipped ones are in {folder}/") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: YAML syntax: {one_line(getattr(error, 'problem', error))}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected keys such as {keys}, found {content!r:.60}")
    return content


def _count(node: yaml.Node, counts: dict[int, int]) -> int:
    """How many values a node stands for; raises a YAMLError if they are too many, or a key is there twice."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in counts:
        counts[id(node)] = MAX_VALUES  # until it is known: what holds itself has no end
        children = node.value
        if isinstance(node, yaml.MappingNode):
            _reject_twice([key for key, _ in node.value])
            children = [child for pair in node.value for child in pair]
        counts[id(node)] = 1 + sum(_count(child, counts) for child in children)
    if counts[id(node)] >= MAX_VALUES:
        raise yaml.MarkedYAMLError(problem="its aliases expand without end", problem_mark=node.start_mark)
    return counts[id(node)]


def _reject_twice(keys: list[yaml.Node]) -> None:
    """The last value of such a key would count, without a word."""
    seen = set()
    for key in keys:
        name = (key.tag, str(key.value))
        if name in seen and key.tag != MERGE:
            raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
        seen.add(name)


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
