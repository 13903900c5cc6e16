"""Choosing among the states of every task: all valid ones without the padding, or a share of them."""

import torch
from torch import Tensor

from meta_rl import ranks
from meta_rl.types import Samples

GOLDEN_RATIO = 0.6180339887498949


def pack(samples: Samples) -> Samples:
    """The valid states of every task in their order, padded only to those of the task that has most.

    Episodes that end early leave padding behind, for which every later product would be computed in vain. The
    tasks of other ranks count too: products over more padding round differently.
    """
    count = int(ranks.highest(samples.mask.sum(1).max()))
    return (
        samples if count == samples.mask.shape[1] else _take(samples, _valid_first(samples.mask)[:, :count])
    )


def thin(samples: Samples, fraction: float) -> Samples:
    """A share of the states of every task, spread evenly over its valid ones.

    `fraction` counts padded states too, so that all tasks keep the same number.
    """
    count = max(1, round(fraction * samples.mask.shape[1]))
    order = _valid_first(samples.mask)
    # One state from each of `count` equal spans of the valid ones, at a golden-ratio sequence of places: a
    # constant stride that divides the horizon would take the same time steps of every episode. Padding is
    # reached only where too few states are valid.
    span = (samples.mask.sum(1, keepdim=True) / count).clamp(min=1)
    index = torch.arange(count, device=order.device)
    ranks = (index * span + (index.double() * GOLDEN_RATIO).frac() * (span - 1)).long()
    return _take(samples, order.gather(1, ranks.clamp(max=order.shape[1] - 1)))


def _valid_first(mask: Tensor) -> Tensor:
    """The indices [N, B] of all states, those of the valid ones first."""
    return torch.argsort(mask, dim=1, descending=True, stable=True)


def _take(samples: Samples, index: Tensor) -> Samples:
    """The states of the indices [N, B']."""
    tasks = torch.arange(len(index), device=index.device)[:, None]
    return Samples(*(x[tasks, index] for x in samples))
