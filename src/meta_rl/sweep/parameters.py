"""One parameter of a W&B sweep: how it is checked, its values in a grid, and its draws in a random search.

Distributions and their keys have W&B's names and meanings: docs.wandb.ai/models/sweeps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from meta_rl.errors import UserError

Parameter = Mapping[str, Any]  # {"value": x}, {"values": [...]} or a distribution with its keys
Draw = Callable[[np.random.Generator, Parameter], Any]
MAX_LOG = 700.0  # the exponential of more is no number


def _uniform(rng: np.random.Generator, p: Parameter) -> float:
    return rng.uniform(p["min"], p["max"])


def _log_uniform_values(rng: np.random.Generator, p: Parameter) -> float:
    return math.exp(rng.uniform(math.log(p["min"]), math.log(p["max"])))


def _log_uniform(rng: np.random.Generator, p: Parameter) -> float:
    return math.exp(rng.uniform(p["min"], p["max"]))  # min and max are logarithms


def _normal(rng: np.random.Generator, p: Parameter) -> float:
    return rng.normal(p.get("mu", 0.0), p.get("sigma", 1.0))


def _categorical(rng: np.random.Generator, p: Parameter) -> Any:
    return p["values"][rng.choice(len(p["values"]), p=p.get("probabilities"))]


def _quantised(draw: Draw) -> Draw:
    """`draw` rounded to multiples of q; whole numbers stay integers."""

    def rounded(rng: np.random.Generator, p: Parameter) -> float:
        q = p.get("q", 1)
        return round(draw(rng, p) / q) * q

    return rounded


DISTRIBUTIONS: dict[str, tuple[Draw, frozenset[str]]] = {  # how to draw, and the keys that it needs
    "categorical": (_categorical, frozenset({"values"})),
    "categorical_w_probabilities": (_categorical, frozenset({"values", "probabilities"})),
    "int_uniform": (lambda rng, p: int(rng.integers(p["min"], p["max"] + 1)), frozenset({"min", "max"})),
    "uniform": (_uniform, frozenset({"min", "max"})),
    "q_uniform": (_quantised(_uniform), frozenset({"min", "max"})),
    "log_uniform": (_log_uniform, frozenset({"min", "max"})),
    "log_uniform_values": (_log_uniform_values, frozenset({"min", "max"})),
    "q_log_uniform_values": (_quantised(_log_uniform_values), frozenset({"min", "max"})),
    "normal": (_normal, frozenset()),
    "q_normal": (_quantised(_normal), frozenset()),
}


def draw(parameter: Parameter, rng: np.random.Generator) -> Any:
    """A value of a random search."""
    if "value" in parameter:
        return parameter["value"]
    return DISTRIBUTIONS[_distribution(parameter)][0](rng, parameter)


def grid_values(parameter: Parameter) -> Sequence[Any]:
    """All values in a grid; W&B also takes whole numbers from min to max."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter["values"] if "values" in parameter else range(parameter["min"], parameter["max"] + 1)


def check(parameter: Parameter, method: str, place: str) -> None:
    """Raise a UserError unless points can be made of a parameter.

    Args:
        parameter: What the file says of one parameter.
        method: The sweep's: grid or random.
        place: The file and the parameter's name; begins the message.
    """
    if "value" in parameter:
        if "values" in parameter:
            raise UserError(f"{place} has both value and values; keep one of them")
        return
    values = parameter.get("values")
    if "values" in parameter and (not isinstance(values, list) or not values):
        raise UserError(f"{place}.values must be a list with something in it, got {values!r:.60}")
    distribution = _distribution(parameter)
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        raise UserError(f"{place}: distribution {distribution!r} is not supported; known: {known}")
    if method == "grid" and values is None and distribution != "int_uniform":
        raise UserError(f"{place}: a grid needs value or values; or set method: random")
    missing = sorted(DISTRIBUTIONS[distribution][1] - set(parameter))
    if missing:
        raise UserError(f"{place}: {distribution} needs {' and '.join(missing)}")
    _check_numbers(parameter, distribution, place)
    if "probabilities" in parameter:
        _check_probabilities(parameter["probabilities"], values, place)


def _distribution(parameter: Parameter) -> str:
    """The distribution that is named, or that W&B takes where none is."""
    whole = all(isinstance(parameter.get(key), int) for key in ("min", "max"))
    implied = "categorical" if "values" in parameter else "int_uniform" if whole else "uniform"
    return str(parameter.get("distribution", implied))


def _check_numbers(parameter: Parameter, distribution: str, place: str) -> None:
    numbers = {k: parameter[k] for k in ("min", "max", "mu", "sigma", "q") if k in parameter}
    for key, value in numbers.items():
        if not _is_number(value):
            hint = " (YAML reads 1e-3 as a text: write 1.0e-3)" if isinstance(value, str) else ""
            raise UserError(f"{place}.{key} must be a finite number, got {value!r}{hint}")
    low, high = numbers.get("min", 0), numbers.get("max", 1)
    whole = distribution != "int_uniform" or (isinstance(low, int) and isinstance(high, int))
    logarithmic = distribution.endswith("log_uniform_values")
    too_large = distribution == "log_uniform" and high > MAX_LOG
    if not whole or low > high or (logarithmic and low <= 0) or too_large:
        raise UserError(f"{place}: {distribution} cannot draw from {low} to {high}")
    if numbers.get("q", 1) <= 0 or numbers.get("sigma", 1) < 0:
        raise UserError(f"{place}: q and sigma must be positive")


def _check_probabilities(weights: Any, values: list[Any] | None, place: str) -> None:
    right = isinstance(weights, list) and all(_is_number(weight) and weight >= 0 for weight in weights)
    if not right or values is None or len(weights) != len(values) or abs(sum(weights) - 1) > 1e-6:
        raise UserError(f"{place}.probabilities must be as many as values and add up to 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
