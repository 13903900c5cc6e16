"""Small MDPs, and derivatives by finite differences."""

from collections.abc import Callable

import torch
from torch import Tensor

from meta_rl.envs import TabularMDP
from meta_rl.envs.tabular_mdp import Tables


def random_tables(num_states: int, num_actions: int) -> Tables:
    """One task, in float64."""
    env = TabularMDP(num_states, num_actions, spread=1.0, vary="transitions", mdp_seed=2)
    return env.mdp(env.sample_tasks(1, torch.Generator().manual_seed(0)).double()).task(0)


def random_theta(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def differences(function: Callable[[Tensor], Tensor], theta: Tensor, step: float = 1e-5) -> Tensor:
    """Central differences of a function with values [...] at theta [D]: [..., D], to about 1e-10."""
    steps = step * torch.eye(len(theta), dtype=theta.dtype)
    return torch.stack([(function(theta + d) - function(theta - d)) / (2 * step) for d in steps], -1)


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def within(actual: Tensor, expected: Tensor, errors: Tensor, number: float = 4.0) -> None:
    """Each coordinate lies within that many standard errors, which are not 0."""
    assert (errors > 0).all()
    assert ((actual - expected).abs() < number * errors).all(), ((actual - expected) / errors).tolist()
