"""Antithetic perturbations of parameters, and the slope of a fitness that they show (evolution strategies).

A task's 2 H perturbed parameters are theta + sigma g_h and theta - sigma g_h for H standard normal directions
g_h, in the order +, -, +, -, ... Their fitness F estimates the gradient of E_g F(theta + sigma g) by theta,

    1 / H  sum_h  (F(theta + sigma g_h) - F(theta - sigma g_h)) / (2 sigma)  g_h

(Salimans et al. 2017, section 2; mirrored by Brockhoff et al. 2010). Whatever is even in g cancels in a pair.
"""

import torch
from torch import Tensor

from meta_rl.randomness import TaskStreams
from meta_rl.types import Params


def draw_directions(streams: TaskStreams, params: Params, pairs: int) -> Params:
    """Standard normal directions [N, H, ...] for parameters [N, ...], from each task's own stream.

    Args:
        streams: Those of the N tasks.
        params: Gives shapes, type and device.
        pairs: H.
    """
    like = next(iter(params.values()))
    shapes = {name: value.shape[1:] for name, value in params.items()}
    sizes = [shape.numel() for shape in shapes.values()]
    flat = streams.draw(len(like), lambda g: torch.randn(pairs, sum(sizes), generator=g)).to(like)
    pieces = zip(shapes.items(), flat.split(sizes, -1), strict=True)
    return {name: piece.unflatten(-1, shape) if shape else piece[..., 0] for (name, shape), piece in pieces}


def perturbed(params: Params, directions: Params, sigma: float) -> Params:
    """Antithetic pairs about params [N, ...] along directions [N, H, ...]: [N * 2 H, ...], task by task."""
    rows = {}
    for name, value in params.items():
        shift = sigma * directions[name]
        rows[name] = (value[:, None, None] + torch.stack([shift, -shift], 2)).flatten(0, 2)
    return rows


def slope(fitness: Tensor, directions: Params, sigma: float) -> Params:
    """The estimate above for every task: [N, ...], uphill.

    Args:
        fitness: [N, 2 H] of the perturbed parameters, in their order.
        directions: [N, H, ...].
        sigma: Length of a perturbation along its direction.
    """
    plus, minus = fitness.unflatten(1, (-1, 2)).unbind(2)
    weights = (plus - minus) / (2 * sigma)  # [N, H]
    return {
        name: (weights.view(*weights.shape, *[1] * (g.dim() - 2)) * g).mean(1)
        for name, g in directions.items()
    }
