"""What is wrong with a configuration, in one line."""

import argparse
import dataclasses
import difflib
import inspect
import pydoc
import re
from collections.abc import Collection, Mapping
from typing import Any, get_args

from meta_rl.errors import UserError, one_line
from meta_rl.run.constructor import constructor_parameters

IMPORT_REMEDY = "put its directory on PYTHONPATH, or install it"


def explain(message: str, parser: argparse.ArgumentParser) -> str:
    """The parser's report of an error, dozens of lines long, as one: the key, what is wrong, the remedy."""
    names = [a.dest for a in parser._actions]
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        if not match[1].startswith("-"):
            return f"unexpected argument {match[1]}; write --KEY=VALUE"
        return _unknown(match[1].lstrip("-").partition("=")[0], names)
    if match := re.search(r"Group '(.+)' does not accept option '(.+)'", message):
        return _unknown(f"{match[1]}.{match[2]}", names)
    if match := re.match(r"Option '(.+)' is not accepted", message):
        return _unknown(match[1], names)
    if match := re.match(r"the following arguments are required: ([\w.]+)", message):
        return f"{match[1]} is missing; set it in the config file or with --{match[1]}=..."
    key, rest = _innermost(message)
    return _explain_value(key, rest) if key else one_line(message)


def reject_null(config: dict[str, Any]) -> None:
    """Raise a UserError for a null that a constructor does not take; the parser lets it by."""
    specs: dict[str, dict[str, Any]] = {"model": config["model"], "data.env": config["data"]["env"]}
    for key, spec in specs.items():
        _reject_null(key, spec.get("init_args", {}), _parameters(spec["class_path"]))
    _reject_null("data", config["data"], _parameters("meta_rl.data.RolloutDataModule"))
    _reject_null("trainer", config.get("trainer") or {}, _parameters("lightning.pytorch.Trainer"))


def _reject_null(key: str, arguments: Mapping[str, Any], hints: dict[str, Any]) -> None:
    for name, value in arguments.items():
        hint = hints.get(name, Any)
        if value is None and hint is not Any and type(None) not in get_args(hint):
            raise UserError(f"{key}.{name} must not be null")
        if isinstance(value, dict):
            for part in filter(inspect.isclass, (hint, *get_args(hint))):
                if dataclasses.is_dataclass(part):
                    path = f"{part.__module__}.{part.__qualname__}"
                    _reject_null(f"{key}.{name}", value, _parameters(path))


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


def _innermost(message: str) -> tuple[str, str]:
    """The dotted key of the first chain of ever deeper `Parser key` lines, and the text after it."""
    keys: list[str] = []
    depth, end = -1, 0
    for match in re.finditer(r'^( *(?:- )?)Parser key "(.+?)":', message, re.MULTILINE):
        if len(match[1]) <= depth:
            break
        keys += [match[2]] if match[2] not in keys else []
        depth, end = len(match[1]), match.end()
    return ".".join(keys), message[end:]


def _explain_value(key: str, text: str) -> str:
    """What is wrong with the value of `key`, from the parser's text about it."""
    class_path = re.search(r"Problem with given class_path '(.+?)':\s+(.+)", text)
    if class_path and (option := re.match(r"Option '(.+)' is not accepted", class_path[2])):
        known = [f"{key}.{p}" for p in _parameters(class_path[1])]
        if option[1] == "class_path":  # the arguments stand beside class_path
            return f"{key}: put the arguments of class_path under init_args"
        return _unknown(f"{key}.{option[1]}", known)
    if class_path:
        remedy = _similar_class(class_path[1]) if "has no attribute" in class_path[2] else ""
        remedy = f"; {IMPORT_REMEDY}" if "No module named" in class_path[2] else remedy
        return f"{key}.class_path: {class_path[2]}{remedy}"
    if match := re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", text):
        return f"{key}.class_path: {match[1]} is not a subclass of {match[2]}"
    match = re.search(r"instantiatable class, but (\S+) is abstract", text)
    if match and not match[1].endswith(".BatchedEnv"):  # that one stands for whatever is no class_path
        return f"{key}.class_path: {match[1]} is abstract; name a subclass that defines all its methods"
    if "subclass" in text or "instantiatable" in text or "dot import path" in text:
        return f"{key}: give a class_path, and its arguments under init_args, as the files in conf/ do"
    union = re.search(r"Subtypes: \[(.+)\]", text)
    expected = union or re.search(r"Expected an? (.+?)(?:\. Got|$)", text, re.MULTILINE)
    given = re.search(r"(?:Got|Given) value: (.+)", text)
    if expected and given:
        types = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", expected[1]).replace("NoneType", "null")
        types = re.sub(r"typing\.Literal\[(.+)\]", r"\1", types).replace("'", "").replace("typing.", "")
        types = re.sub(r", (?![^\[]*\])", " or ", types)  # not the commas inside of dict[str, Any]
        near = "dict" in types and given[1].startswith("{")
        remedy = f"; write {{key: value}} with a space, or --{key}.key=value" if near else ""
        return f"{key}: expected {types}, got {given[1]!r:.60}{remedy}"
    return f"{key}: {one_line(text)}"


def _unknown(key: str, known: Collection[str]) -> str:
    """`key` is not among the `known` ones: suggest the nearest, else list those of its group."""
    group, _, name = key.rpartition(".")
    top, _, rest = key.partition(".")
    groups = {k.partition(".")[0] for k in known}
    if rest and top not in groups and (alike := difflib.get_close_matches(top, groups, 1)):
        return f"unknown key {key}; did you mean {alike[0]}.{rest}?"
    siblings = [k.rpartition(".")[2] for k in known if k.rpartition(".")[0] == group]
    if siblings and group:
        near = [f"{group}.{s}" for s in difflib.get_close_matches(name, siblings, 1)]
    else:
        near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"unknown key {key}; did you mean {near[0]}?"
    if group and 0 < len(siblings) <= 20:
        return f"unknown key {key}; {group} accepts {', '.join(siblings)}"
    return f"unknown key {key}; python train.py --help lists all"


def _parameters(class_path: str) -> dict[str, Any]:
    """Names and types of the constructor's parameters, those of the base classes included."""
    hints = {name: p.annotation for name, p in constructor_parameters(pydoc.locate(class_path)).items()}
    # A missing annotation, or one postponed as text, says nothing.
    empty = inspect.Parameter.empty
    return {name: Any if hint is empty or isinstance(hint, str) else hint for name, hint in hints.items()}


def _similar_class(class_path: str) -> str:
    """A hint at a class of the same module whose name resembles the one that is not there."""
    module_name, _, name = class_path.rpartition(".")
    try:
        module = pydoc.locate(module_name) if module_name else None
    except pydoc.ErrorDuringImport:
        module = None
    classes = [n for n, value in vars(module).items() if inspect.isclass(value)] if module else []
    near = difflib.get_close_matches(name, classes, 1)
    return f"; did you mean {module_name}.{near[0]}?" if near else ""
