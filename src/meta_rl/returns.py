"""Discounted returns, generalised advantage estimation, and normalisation, on padded episodes."""

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-8

Total = Callable[[Tensor], Tensor]  # of the ranks' sums, where a mean is one over the states of all of them


def own(x: Tensor) -> Tensor:
    """The sum of this rank alone."""
    return x


def discounted_sum(x: Tensor, discount: float) -> Tensor:
    """y_t = x_t + discount * y_{t+1} along the last axis."""
    y = torch.empty_like(x)
    running = torch.zeros_like(x[..., 0])
    for t in range(x.shape[-1] - 1, -1, -1):
        running = x[..., t] + discount * running
        y[..., t] = running
    return y


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float, last_value: Tensor
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, equations 11 and 16); 0 on padding.

    Args:
        rewards: [..., T], 0 on padding.
        values: [..., T] baseline's values of the observations.
        mask: [..., T] 1 on valid steps.
        gamma: Discount.
        gae_lambda: 1 gives discounted returns minus the baseline.
        last_value: [...] value of the observation after step T; 0 where the episode has ended.
    """
    values = values * mask
    following = torch.cat([values[..., 1:], last_value[..., None]], -1)
    delta = (rewards + gamma * following - values) * mask
    return discounted_sum(delta, gamma * gae_lambda) * mask


def masked_mean(x: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """Mean of x [..., B] over the valid entries of the last axis: [...]; 0 where there is none."""
    # In float64, so that a float32 comes out alike however the entries are shared out among ranks.
    sums, counts = total(
        torch.stack([(x * mask).sum(-1, dtype=torch.float64), mask.sum(-1, dtype=torch.float64)])
    )
    return (sums / counts.clamp(min=1)).to(x)


def normalise(x: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """Zero mean and unit standard deviation over the valid entries of the last axis; 0 on padding."""
    centred = (x - masked_mean(x, mask, total)[..., None]) * mask
    std = masked_mean(centred.square(), mask, total).sqrt()
    return centred / (std[..., None] + EPSILON)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over the valid entries of the last axis: [...]; 0 for none."""

    def variance(x: Tensor) -> Tensor:
        return masked_mean((x - masked_mean(x, mask, total)[..., None]).square(), mask, total)

    explained = 1 - variance(returns - values) / variance(returns).clamp(min=EPSILON)
    return explained * (mask > 0).any(-1)
