"""The state of a training in a checkpoint, checked: Lightning and the optimizers take whatever they get."""

import math
from typing import Any

import torch
from torch import Tensor

COUNTERS = (  # of optimizer steps; one of them is Lightning's global_step, the other stays 0
    ("epoch_loop.manual_optimization.optim_step_progress", "total", "completed"),
    ("epoch_loop.automatic_optimization.optim_progress", "optimizer", "step", "total", "completed"),
)

STATISTICS = "policy.normalizer."  # of the observations: buffers, not parameters
COUNTS = ("env_steps", f"{STATISTICS}count")
FRACTIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

SWITCHES = {"amsgrad", "capturable", "centered", "decoupled_weight_decay", "differentiable", "foreach"}
SWITCHES |= {"fused", "maximize", "nesterov"}
NUMBERS = {"dampening", "eps", "momentum", "weight_decay"}


def flaw(checkpoint: dict[str, Any]) -> str | None:
    """The first place where the state is none that train.py writes, or None if there is no such place.

    A changed number that is as good as the one before, such as another finite weight, is no flaw.
    """
    policy = weights(checkpoint["state_dict"])
    best = checkpoint["callbacks"].get("Checkpointing", {"best_return": 0.0})
    if not isinstance(best, dict) or not _is_return(best.get("best_return")):
        return "callbacks.Checkpointing"
    if not _are_counts(checkpoint["loops"]) or _steps(checkpoint["loops"]) != checkpoint["global_step"]:
        return "loops"
    for state in checkpoint["optimizer_states"]:
        if not _is_optimizer(state, policy):
            return "optimizer_states"
    return None


def _steps(loops: dict[str, Any]) -> int:
    """Steps of the optimizer that the loops have counted."""
    count = 0
    for keys in COUNTERS:
        tree: Any = loops
        for key in ("fit_loop", *keys):
            tree = tree.get(key) if isinstance(tree, dict) else None
        count += tree if isinstance(tree, int) else 0
    return count


def _are_counts(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(map(_are_counts, tree.values()))
    return isinstance(tree, int) and 0 <= tree < 2**63


def _is_optimizer(state: Any, parameters: list[Tensor]) -> bool:
    """Whether an optimizer of the policy's parameters can have been in this state."""
    if not (isinstance(state, dict) and isinstance(state.get("state"), dict)):
        return False
    groups = state.get("param_groups")
    if not (isinstance(groups, list) and all(isinstance(group, dict) for group in groups)):
        return False
    indices = [group.get("params") for group in groups]
    if not all(isinstance(part, list) for part in indices):
        return False
    flat = [index for part in indices for index in part]
    if flat != list(range(len(flat))) or any(type(index) is not int for index in flat):
        return False
    known = parameters if len(parameters) == len(flat) else [None] * len(flat)  # a learner may have others
    fits = all(i in flat and _are_moments(values, known[i]) for i, values in state["state"].items())
    return fits and all(_is_option(k, v) for group in groups for k, v in group.items() if k != "params")


def _are_moments(values: Any, parameter: Tensor | None) -> bool:
    """Whether these belong to one parameter: numbers, and tensors like it."""
    return isinstance(values, dict) and all(_is_moment(value, parameter) for value in values.values())


def _is_moment(value: Any, parameter: Tensor | None) -> bool:
    if not isinstance(value, Tensor):
        return _is_number(value)
    if value.dim() == 0:  # a count of steps
        alike = value.dtype in (torch.float32, torch.float64)
    else:
        alike = parameter is None or (value.shape, value.dtype) == (parameter.shape, parameter.dtype)
    return alike and is_dense(value) and bool(torch.isfinite(value).all())


def _is_option(name: str, value: Any) -> bool:
    """Whether an optimizer can have this argument."""
    if name == "lr":
        return _is_number(value) and value >= 0
    if name in NUMBERS:
        return _is_number(value)
    if isinstance(value, list | tuple):
        return all(map(_is_number, value))
    if name in SWITCHES:
        return value is None or isinstance(value, bool)
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    value = value.item() if isinstance(value, Tensor) and value.dim() == 0 and is_dense(value) else value
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def weights(state: dict[str, Any]) -> list[Any]:
    """The policy's parameters in their order, without the statistics of its observations."""
    return [v for k, v in state.items() if k.startswith("policy.") and not k.startswith(STATISTICS)]


def is_sound(name: str, value: Any) -> bool:
    """Whether this can be stored by a learner: parameters of the policy are fractions, counts are none."""
    if not isinstance(value, Tensor) or not is_dense(value):
        return False
    if name in COUNTS:
        return _is_whole(value)
    if not name.startswith("policy."):
        return True
    return value.dtype in FRACTIONS and (name != f"{STATISTICS}variance" or bool((value >= 0).all()))


def of_one_type(state: dict[str, Any]) -> bool:
    """Whether the policy's weights have one type of number, as they are trained."""
    return len({getattr(value, "dtype", None) for value in weights(state)}) <= 1


def _is_whole(value: Tensor) -> bool:
    return value.dtype == torch.int64 and value.dim() == 0 and int(value) >= 0


def is_dense(tensor: Tensor) -> bool:
    """Whether every number of it is there, one by one."""
    return tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized


def _is_return(value: Any) -> bool:
    return isinstance(value, float) and not math.isnan(value)  # -inf before the first
