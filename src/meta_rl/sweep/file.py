"""A W&B sweep file, read and checked as a whole before the first run starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.run.files import read_yaml
from meta_rl.run.plain import at_home
from meta_rl.sweep.parameters import Parameter, check

KEYS = {"program", "project", "entity", "name", "description", "method", "metric", "parameters", "command"}
KEYS |= {"early_terminate", "run_cap"}
MACROS = {"${env}", "${interpreter}", "${program}", "${args}", "${args_no_hyphens}"}
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")


@dataclass(frozen=True)
class Sweep:
    """What sweep.py needs of a sweep file.

    Attributes:
        path: The file itself.
        program: Script that every run starts, such as train.py.
        method: How points are chosen: grid or random.
        parameters: Fixed and varying settings, by the dotted name of a key of the program.
        command: The words that start a run, some of them W&B's macros, such as ${args}.
        run_cap: Largest number of runs; None for no limit.
    """

    path: Path
    program: str
    method: str
    parameters: dict[str, Parameter]
    command: tuple[str, ...]
    run_cap: int | None


def read_sweep(path: Path) -> Sweep:
    """Read and check a sweep file. Raises a UserError of one line that names file, key and remedy."""
    content = read_yaml(path, "sweep", "sweeps", "method and parameters")
    for key in ("program", "method", "parameters"):
        if not content.get(key):
            raise UserError(f"{path}: {key} is missing")
    unknown = sorted(map(str, set(content) - KEYS))
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; W&B has {', '.join(sorted(KEYS))}")
    method = content["method"]
    if method == "bayes":
        raise UserError(
            f"{path}: method bayes needs W&B, which chooses the next point from the results; "
            f"run it with: wandb sweep {path}, then the wandb agent that it names"
        )
    if method not in ("grid", "random"):
        raise UserError(f"{path}: method {method!r} is unknown; expected grid, random or bayes")
    parameters = _flat(path, content["parameters"])
    for name, parameter in parameters.items():
        check(parameter, method, f"{path}: {name}")
    words = content.get("command") or DEFAULT_COMMAND
    if not isinstance(words, (list, tuple)) or any(isinstance(word, (list, dict)) for word in words):
        raise UserError(f"{path}: command must be a list of words, got {words!r:.60}")
    command = tuple(map(str, words))
    for macro in command:
        if macro.startswith("${") and macro not in MACROS:
            raise UserError(f"{path}: command: {macro} is not supported; use {', '.join(sorted(MACROS))}")
    cap = content.get("run_cap")
    if cap is not None and (type(cap) is not int or cap < 1):
        raise UserError(f"{path}: run_cap must be a whole number of at least 1, got {cap!r}")
    return Sweep(path, at_home(str(content["program"])), method, parameters, command, cap)


def _flat(path: Path, parameters: Any, prefix: str = "") -> dict[str, Parameter]:
    """Parameters by dotted name; W&B also nests them by a key `parameters` of their own."""
    if not isinstance(parameters, Mapping):
        raise UserError(
            f"{path}: {prefix or 'parameters'} must hold keys of its own, found {parameters!r:.60}"
        )
    flat: dict[str, Parameter] = {}
    for key, parameter in parameters.items():
        name = f"{prefix}{key}"
        if not isinstance(parameter, dict):
            raise UserError(f"{path}: {name} needs value, values or a distribution, found {parameter!r:.60}")
        if "parameters" in parameter:
            flat |= _flat(path, parameter["parameters"], f"{name}.")
        else:
            flat[name] = parameter
    return flat
