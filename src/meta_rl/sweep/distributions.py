"""W&B's distributions of a random search, with W&B's names: docs.wandb.ai/models/sweeps."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator, Mapping[str, Any]], Any]


def _uniform(rng: np.random.Generator, p: Mapping[str, Any]) -> float:
    return rng.uniform(p["min"], p["max"])


def _log_uniform_values(rng: np.random.Generator, p: Mapping[str, Any]) -> float:
    return math.exp(rng.uniform(math.log(p["min"]), math.log(p["max"])))


def _log_uniform(rng: np.random.Generator, p: Mapping[str, Any]) -> float:
    return math.exp(rng.uniform(p["min"], p["max"]))  # min and max are logarithms


def _normal(rng: np.random.Generator, p: Mapping[str, Any]) -> float:
    return rng.normal(p.get("mu", 0.0), p.get("sigma", 1.0))


def _categorical(rng: np.random.Generator, p: Mapping[str, Any]) -> Any:
    return p["values"][rng.choice(len(p["values"]), p=p.get("probabilities"))]


def _quantised(draw: Draw) -> Draw:
    """`draw` rounded to multiples of q; whole numbers stay integers."""

    def rounded(rng: np.random.Generator, p: Mapping[str, Any]) -> float:
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


def implied(parameter: Mapping[str, Any]) -> str:
    """The distribution that W&B takes where none is named."""
    if "values" in parameter:
        return "categorical"
    whole = all(isinstance(parameter.get(key), int) for key in ("min", "max"))
    return "int_uniform" if whole else "uniform"
