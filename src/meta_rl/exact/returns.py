"""The expected return of a policy on one task, by dynamic programming, and its exact derivatives."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, hessian

from meta_rl.envs.tabular_mdp import Tables

# From flat parameters [D] to the log-probabilities [S, A] of a policy that does not depend on time.
Policy = Callable[[Tensor], Tensor]


def softmax_policy(num_states: int, num_actions: int) -> Policy:
    """A logit for every action in every state: D = S * A, state by state."""

    def policy(theta: Tensor) -> Tensor:
        return theta.reshape(num_states, num_actions).log_softmax(-1)

    return policy


def state_values(log_policy: Tensor, tables: Tables, horizon: int, gamma: float = 1.0) -> Tensor:
    """V_t(s), the expected discounted return from step t on, t = 0 to T: [T + 1, S].

    Backward induction, V_t = r_pi + gamma P_pi V_{t+1} with V_T = 0 (Puterman 1994, section 4.2). Arguments
    as of `expected_return`.
    """
    policy = log_policy.exp()
    rewards = (policy * tables.rewards).sum(-1)  # [S] r_pi
    transitions = (policy[..., None] * tables.transitions).sum(1)  # [S, S] P_pi
    values = [torch.zeros_like(rewards)]
    for _ in range(horizon):
        values.append(rewards + gamma * (transitions @ values[-1]))
    return torch.stack(values[::-1])


def expected_return(log_policy: Tensor, tables: Tables, horizon: int, gamma: float = 1.0) -> Tensor:
    """E[sum_t gamma^t r(s_t, a_t)] over `horizon` steps: a scalar.

    Differentiable with respect to everything, as often as wanted; `torch.func.vmap` lifts it to many tasks or
    policies.

    Args:
        log_policy: [S, A] log pi(a | s).
        tables: Those of one task.
        horizon: Number of steps T.
        gamma: Discount; 1 for none.
    """
    return tables.initial @ state_values(log_policy, tables, horizon, gamma)[0]


@dataclass(frozen=True)
class ExpectedReturn:
    """J(theta): the expected return of one task as a function of flat parameters.

    Args:
        tables: Those of one task; their dtype and that of theta have to agree.
        policy: From theta [D] to log-probabilities [S, A].
        horizon: Number of steps T.
        gamma: Discount; 1 for none.

    Raises:
        ValueError: for a horizon below 1, or a discount outside [0, 1].
    """

    tables: Tables
    policy: Policy
    horizon: int
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, got {self.horizon}")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {self.gamma}")

    def __call__(self, theta: Tensor) -> Tensor:
        """J at theta [D]: a scalar."""
        return expected_return(self.policy(theta), self.tables, self.horizon, self.gamma)

    def gradient(self, theta: Tensor) -> Tensor:
        """grad J at theta: [D]. What REINFORCE estimates, where gamma is 1."""
        return grad(self)(theta)

    def hessian(self, theta: Tensor) -> Tensor:
        """The second derivatives of J at theta: [D, D]."""
        return hessian(self)(theta)
