"""What a run's configuration says: its method, its task family, and the settings that may be varied."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from meta_rl.run.messages import class_defaults
from meta_rl.run.plain import family_arguments, flatten

# The names of classes in figures and tables, where they differ.
DISPLAY_NAMES = {"Pretrained": "pretrained", "Oracle": "oracle", "Random": "random"}
REFERENCE = "MAML"  # the method that others are compared with
ENDS = ("random", "oracle")  # define scores 0 and 1, and have no verdict themselves
ORDER = ("MAML", "FOMAML", "Reptile", "pretrained", "oracle", "random")


def method_name(config: Mapping[str, Any]) -> str:
    """The name of the method in figures and tables."""
    name = str(config["model"]["class_path"]).rpartition(".")[2]
    return DISPLAY_NAMES.get(name, name)


def method_rank(method: str) -> tuple[int, str]:
    """A sort key that gives the order of methods in every table and legend; unknown ones come last."""
    return (ORDER.index(method) if method in ORDER else len(ORDER), method)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of algorithm and data by dotted name, without method, task family and seed."""
    model = flatten(config["model"].get("init_args") or {}, "model")
    data = flatten({key: value for key, value in config["data"].items() if key != "env"}, "data")
    return {**model, **data}


def family_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The task family and its arguments by dotted name, without those that belong to the machine."""
    env = config["data"]["env"]
    return {"data.env": str(env["class_path"]).rpartition(".")[2], **family_arguments(env)}


def default_settings(method: str) -> dict[str, Any]:
    """By dotted name, the defaults of a method's arguments, inherited ones too; {} for an unknown method."""
    from meta_rl import algorithms  # loads torch, which most reports do without

    originals = {name: original for original, name in DISPLAY_NAMES.items()}
    cls = getattr(algorithms, originals.get(method, method), None)
    return {f"model.{name}": value for name, value in class_defaults(cls).items()} if cls else {}


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
