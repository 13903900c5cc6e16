"""What is wrong with a configuration, in one line."""

import difflib
import pydoc
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jsonargparse import ArgumentParser

from meta_rl.errors import one_line
from meta_rl.run.plain import flatten
from meta_rl.run.program import sibling

KEY = re.compile(r'Parser key "(.+?)":')
CLASS = re.compile(r"given class_path '(.+?)'")
UNKNOWN = re.compile(r"(?:Group '(.+)' does not accept o|O)ption '(.+)'|unrecognized arguments: -*([^\s=]+)")
NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value type", "Problem with given class_path")


def explain(message: str, parser: ArgumentParser) -> str:
    """The parser's report of an error, an indented tree of dozens of lines, as one: key, reason, remedy.

    Every level of the tree names its part of the key. The reason stands below the innermost one.
    """
    key, innermost = ".".join(dict.fromkeys(KEY.findall(message))), KEY.split(message)[-1]
    lines = [line.strip(" -") for line in innermost.splitlines()]
    lines = [line for line in lines if line and not line.startswith(NOISE)] or [one_line(message)]
    reason, classes = lines[0], CLASS.findall(message)
    if match := UNKNOWN.match(reason):
        names = class_defaults(pydoc.locate(classes[-1])) if classes else parser.get_defaults().keys()
        known = [f"{key}.{name}" if classes else name for name in names]
        if classes and match[2] == "class_path":
            return f"{key}: put the arguments of class_path under init_args"
        return _unknown(".".join(filter(None, (key, *match.groups()))), known)
    if reason.startswith("Expected a <") and "Got value" not in reason:  # a line for every alternative
        end = next((i for i, line in enumerate(lines) if line.startswith("Given value:")), 0)
        reason = "; ".join(lines[: end + 1])
    reason = re.sub(r"<class '(\w+)'>|typing\.(Literal)", r"\1\2", reason)
    if "No module named" in reason:
        reason += "; put its directory on PYTHONPATH, or install it"
    elif key in ("model", "data.env") and "class" in reason:
        reason += "; give a class_path, and its arguments under init_args, as the files in conf/ do"
    return f"{key}: {reason}" if key else reason


def _unknown(key: str, known: Iterable[str]) -> str:
    """`key` is not among the `known` ones: suggest the nearest of its group, or the nearest group."""
    group, _, name = key.rpartition(".")
    pairs = [k.rpartition(".") for k in known]
    siblings = [last for first, _, last in pairs if first == group]
    if near := difflib.get_close_matches(name, siblings, 1):
        return f"unknown key {key}; did you mean {f'{group}.{near[0]}'.lstrip('.')}?"
    if group and siblings:
        return f"unknown key {key}; {group} accepts {', '.join(siblings)}"
    groups = {(first or last).partition(".")[0] for first, _, last in pairs}
    if near := difflib.get_close_matches(key.partition(".")[0], groups, 1):
        return f"unknown key {key}; did you mean {near[0]}?"
    return f"unknown key {key}; {' '.join(sibling('train'))} --help lists all"


def with_section(message: str, config: Mapping[str, Any]) -> str:
    """A constructor's complaint with the dotted key of the argument that it begins with.

    >>> with_section("gamma must be positive", {"data": {"gamma": 0}})
    'data.gamma must be positive'
    """
    name, space, rest = message.partition(" ")
    paths = [key.replace(".init_args", "").split(".") for key in flatten(config)]
    found = {".".join(path[: path.index(name) + 1]) for path in paths if name in path}
    return f"{found.pop()}{space}{rest}" if len(found) == 1 else message


def class_defaults(cls: Any) -> dict[str, Any]:
    """The arguments of a class, inherited ones too, with their defaults."""
    parser = ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    return parser.get_defaults().as_dict()
