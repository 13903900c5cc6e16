"""What is wrong with a configuration, in one line."""

import argparse
import dataclasses
import difflib
import inspect
import pydoc
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from jsonargparse._parameter_resolvers import get_signature_parameters  # has no public name

from meta_rl.errors import UserError, one_line

KEY = re.compile(r'^( *)(?:- )?Parser key "(.+?)":', re.MULTILINE)
UNKNOWN = re.compile(r"(?:Group '(.+)' does not accept o|O)ption '(.+?)'|unrecognized arguments: (\S+)")
NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value type", "Problem with given class_path")
NULL = "Expected a <class 'NoneType'>"
TYPES = re.compile(r"<class '(?:\w+\.)*(\w+)'>|typing\.Literal")


def explain(message: str, parser: argparse.ArgumentParser) -> str:
    """The parser's report of an error, an indented tree of dozens of lines, as one: key, reason, remedy.

    The tree holds what every alternative of a type has to say. The first one is the one that was meant, so
    the key is that of its innermost line, and the reason is what stands below it.
    """
    key, block = _innermost(message)
    lines = [line.strip(" -") for line in block.splitlines()]
    reasons = [line for line in lines if line and line != NULL and not line.startswith(NOISE)]
    if reasons and reasons[0].startswith("Expected"):  # another type, of which each alternative says so
        reasons = [line for line in reasons if line.startswith(("Expected", "Given"))]
        reasons = ["; ".join(TYPES.sub(r"\1", line) for line in reasons)]
    reason = reasons[0] if reasons else one_line(message)
    if match := UNKNOWN.match(reason):
        group, name, argument = match.groups()
        if argument and not argument.startswith("-"):
            return f"unexpected argument {argument}; write --KEY=VALUE"
        if name == "class_path":
            return f"{key}: put the arguments of class_path under init_args"
        class_path = next((ln.split("'")[1] for ln in lines if ln.startswith(NOISE[-1])), "")
        known = [f"{key}.{p}" for p in _parameters(class_path)] or [action.dest for action in parser._actions]
        name = name or argument.lstrip("-").partition("=")[0]
        return _unknown(".".join(filter(None, (key, group, name))), known)
    if "No module named" in reason:
        reason += "; put its directory on PYTHONPATH, or install it"
    elif key in ("model", "data.env") and "class" in reason:
        reason += "; give a class_path, and its arguments under init_args, as the files in conf/ do"
    return f"{key}: {reason}" if key else reason


def _innermost(message: str) -> tuple[str, str]:
    """The dotted key of the first chain of ever deeper `Parser key` lines, and the text below it."""
    keys, depth, end = [], -1, 0
    for match in KEY.finditer(message):
        if len(match[1]) <= depth:
            break
        keys += [match[2]] if match[2] not in keys else []
        depth, end = len(match[1]), match.end()
    block, _, _ = re.sub(rf"^ {{0,{max(depth, 0)}}}- ", "\0", message[end:], flags=re.MULTILINE).partition(
        "\0"
    )
    return ".".join(keys), block if block.strip() else message[end:]


def _unknown(key: str, known: Collection[str]) -> str:
    """`key` is not among the `known` ones: suggest the nearest, else list those of its group."""
    group, _, name = key.rpartition(".")
    top, _, rest = key.partition(".")
    groups = {k.partition(".")[0] for k in known}
    if rest and top not in groups and (alike := difflib.get_close_matches(top, groups, 1)):
        return f"unknown key {key}; did you mean {alike[0]}.{rest}?"
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == group]
    if near := difflib.get_close_matches(name, siblings, 1):
        return f"unknown key {key}; did you mean {f'{group}.{near[0]}'.lstrip('.')}?"
    if group and 0 < len(siblings) <= 20:
        return f"unknown key {key}; {group} accepts {', '.join(siblings)}"
    return f"unknown key {key}; python train.py --help lists all"


def with_section(message: str, config: dict[str, Any]) -> str:
    """A constructor's complaint with the dotted key of the argument that it begins with.

    >>> with_section("gamma must be positive", {"data": {"gamma": 0}})
    'data.gamma must be positive'
    """
    name, space, rest = message.partition(" ")
    found = {key for key in _keys(config) if key.rpartition(".")[2] == name}
    return f"{found.pop()}{space}{rest}" if len(found) == 1 else message


def _keys(tree: Any, prefix: str = "") -> list[str]:
    """The dotted keys of nested dicts as they are overridden: without init_args."""
    found = []
    for key, value in tree.items() if isinstance(tree, dict) else ():
        dotted = prefix if key == "init_args" else f"{prefix}.{key}".lstrip(".")
        found += [dotted, *_keys(value, dotted)]
    return found


def reject_null(config: dict[str, Any]) -> None:
    """Raise a UserError for a null that a constructor does not take; the parser lets it by."""
    for key, spec in (("model", config["model"]), ("data.env", config["data"]["env"])):
        _reject_null(key, spec.get("init_args", {}), _parameters(spec["class_path"]))
    _reject_null("data", config["data"], _parameters("meta_rl.data.RolloutDataModule"))
    _reject_null("trainer", config.get("trainer") or {}, _parameters("lightning.pytorch.Trainer"))


def _reject_null(key: str, arguments: Mapping[str, Any], hints: dict[str, Any]) -> None:
    for name, value in arguments.items():
        hint = hints.get(name, Any)
        if value is None and hint is not Any and type(None) not in get_args(hint):
            raise UserError(f"{key}.{name} must not be null")
        if isinstance(value, dict):
            for part in filter(dataclasses.is_dataclass, (hint, *get_args(hint))):
                _reject_null(f"{key}.{name}", value, _parameters(part))


def _parameters(cls: object) -> dict[str, Any]:
    """Names and types of the parameters of a class or of the one at a class path; {} of anything else."""
    found = constructor_parameters(pydoc.locate(cls) if isinstance(cls, str) else cls)
    return {p.name: Any if isinstance(p.annotation, str) else p.annotation for p in found}


def constructor_parameters(cls: object) -> Sequence[Any]:
    """Parameters by jsonargparse, which follows **kwargs to where they end; none of what is no class."""
    return get_signature_parameters(cls) if inspect.isclass(cls) else []
