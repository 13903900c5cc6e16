"""What an experiment is made of, from its configuration as plain types: method, settings, task family."""

from collections.abc import Mapping
from typing import Any

from meta_rl.run.plain import family_arguments, flatten

NAMES = {"Pretrained": "pretrained", "Oracle": "oracle", "Random": "random"}  # as figures call them
REFERENCE = "MAML"  # what the other methods are judged beside
ENDS = ("random", "oracle")  # of the scale of normalised scores: not judged by it
ORDER = ("MAML", "FOMAML", "Reptile", "pretrained", "oracle", "random")


def method_name(config: Mapping[str, Any]) -> str:
    """The method of an experiment, as figures call it."""
    name = str(config["model"]["class_path"]).rpartition(".")[2]
    return NAMES.get(name, name)


def method_rank(method: str) -> tuple[int, str]:
    """Sorts methods as in every table and legend, unknown ones last."""
    return (ORDER.index(method) if method in ORDER else len(ORDER), method)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What may be varied: arguments of the learner and of the data, but for method, tasks and seed."""
    model = flatten(config["model"].get("init_args") or {}, "model")
    data = flatten({key: value for key, value in config["data"].items() if key != "env"}, "data")
    return {**model, **data}


def family_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The task family with its arguments, but for those that belong to the machine."""
    env = config["data"]["env"]
    return {"data.env": str(env["class_path"]).rpartition(".")[2], **family_arguments(env)}


def as_text(value: Any) -> str:
    """A setting's value as legends and headings show it.

    >>> as_text([0.5, 0.25])
    '0.5, 0.25'
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(as_text, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
