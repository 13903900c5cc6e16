"""What an experiment is made of, from its configuration as plain types: method, settings, task family."""

from collections.abc import Mapping
from typing import Any

# Arguments of a task family that belong to the machine, as in experiment.checkpoint (which loads torch).
MACHINE = {"num_threads", "num_workers"}
NAMES = {"Pretrained": "pretrained", "Oracle": "oracle", "Random": "random"}  # as figures call them
REFERENCE = "MAML"  # what the other methods are judged beside
ENDS = ("random", "oracle")  # of the scale of normalised scores: not judged by it
ORDER = ("MAML", "FOMAML", "Reptile", "pretrained", "oracle", "random")


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, keyed by dotted names.

    >>> flatten({"data": {"env": {"horizon": 3}}})
    {'data.env.horizon': 3}
    """
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    branches = [flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for branch in branches for key, value in branch.items()}


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
    arguments = flatten(env.get("init_args") or {}, "data.env")
    kept = {key: value for key, value in arguments.items() if key.rpartition(".")[2] not in MACHINE}
    return {"data.env": str(env["class_path"]).rpartition(".")[2], **kept}


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
