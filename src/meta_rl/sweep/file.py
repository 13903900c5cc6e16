"""A W&B sweep file, checked: what is wrong is said before the first run starts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_rl.errors import UserError
from meta_rl.run.plain import read_yaml
from meta_rl.sweep.distributions import DISTRIBUTIONS, implied

KEYS = {"program", "project", "entity", "name", "description", "method", "metric", "parameters", "command"}
KEYS |= {"early_terminate", "run_cap"}
MACROS = {"${env}", "${interpreter}", "${program}", "${args}", "${args_no_hyphens}"}
MAX_LOG = 700.0  # the exponential of more is no number
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")


@dataclass(frozen=True)
class Sweep:
    """What sweep.py needs of a sweep file.

    Attributes:
        path: Of the file.
        program: What a run starts.
        method: grid or random.
        parameters: By dotted name: {"value": x}, {"values": [...]} or a distribution with its arguments.
        command: With W&B's macros.
        run_cap: How many runs at most, if the file says so.
    """

    path: Path
    program: str
    method: str
    parameters: dict[str, dict[str, Any]]
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
        _check(path, name, parameter, method)
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
    return Sweep(path, str(content["program"]), method, parameters, command, cap)


def _flat(path: Path, parameters: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Parameters by dotted name; W&B also nests them by a key `parameters` of their own."""
    if not isinstance(parameters, Mapping):
        raise UserError(
            f"{path}: {prefix or 'parameters'} must hold keys of its own, found {parameters!r:.60}"
        )
    flat: dict[str, dict[str, Any]] = {}
    for key, parameter in parameters.items():
        name = f"{prefix}{key}"
        if not isinstance(parameter, dict):
            raise UserError(f"{path}: {name} needs value, values or a distribution, found {parameter!r:.60}")
        if "parameters" in parameter:
            flat |= _flat(path, parameter["parameters"], f"{name}.")
        else:
            flat[name] = parameter
    return flat


def _check(path: Path, name: str, parameter: dict[str, Any], method: str) -> None:
    """Raise a UserError unless points can be made of a parameter."""
    if "value" in parameter:
        if "values" in parameter:
            raise UserError(f"{path}: {name} has both value and values; keep one of them")
        return
    values = parameter.get("values")
    if "values" in parameter and (not isinstance(values, list) or not values):
        raise UserError(f"{path}: {name}.values must be a list with something in it, got {values!r:.60}")
    distribution = str(parameter.get("distribution", implied(parameter)))
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise UserError(f"{path}: {name}: distribution {distribution!r} is not supported; known: {known}")
    if method == "grid" and values is None and distribution != "int_uniform":
        raise UserError(f"{path}: {name}: a grid needs value or values; or set method: random")
    missing = sorted(DISTRIBUTIONS[distribution][1] - set(parameter))
    if missing:
        raise UserError(f"{path}: {name}: {distribution} needs {' and '.join(missing)}")
    _check_numbers(path, name, parameter, distribution)
    if "probabilities" in parameter:
        _check_probabilities(path, name, parameter["probabilities"], values)


def _check_numbers(path: Path, name: str, parameter: dict[str, Any], distribution: str) -> None:
    numbers = {k: parameter[k] for k in ("min", "max", "mu", "sigma", "q") if k in parameter}
    for key, value in numbers.items():
        if not _is_number(value):
            hint = " (YAML reads 1e-3 as a text: write 1.0e-3)" if isinstance(value, str) else ""
            raise UserError(f"{path}: {name}.{key} must be a finite number, got {value!r}{hint}")
    low, high = numbers.get("min", 0), numbers.get("max", 1)
    whole = distribution != "int_uniform" or (isinstance(low, int) and isinstance(high, int))
    logarithmic = distribution.endswith("log_uniform_values")
    too_large = distribution == "log_uniform" and high > MAX_LOG
    if not whole or low > high or (logarithmic and low <= 0) or too_large:
        raise UserError(f"{path}: {name}: {distribution} cannot draw from {low} to {high}")
    if numbers.get("q", 1) <= 0 or numbers.get("sigma", 1) < 0:
        raise UserError(f"{path}: {name}: q and sigma must be positive")


def _check_probabilities(path: Path, name: str, weights: Any, values: list[Any] | None) -> None:
    right = isinstance(weights, list) and all(_is_number(weight) and weight >= 0 for weight in weights)
    if not right or values is None or len(weights) != len(values) or abs(sum(weights) - 1) > 1e-6:
        raise UserError(f"{path}: {name}.probabilities must be as many as values and add up to 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
