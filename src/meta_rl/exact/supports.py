"""Supports of one task, K episodes each: sampled, or all there are; their probability; REINFORCE on them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad

from meta_rl.advantages import discounted_sum
from meta_rl.envs.tabular_mdp import Tables, categorical
from meta_rl.exact.returns import Policy

MOST = 2**20  # supports that are listed: their states and actions fill a few hundred MB


class Support(NamedTuple):
    """K episodes of T steps of one task. Many supports have a leading axis: [M, K, T]."""

    states: Tensor  # [K, T] int64, before the action
    actions: Tensor  # [K, T] int64
    rewards: Tensor  # [K, T]


# An estimate of the inner gradient from theta [D] and one support: [D]. Ascent: it points to higher returns.
Estimator = Callable[[Tensor, Support], Tensor]


def sample_supports(
    log_policy: Tensor, tables: Tables, horizon: int, episodes: int, supports: int, generator: torch.Generator
) -> Support:
    """Independent supports of K = `episodes` episodes on one task: [M, K, T].

    Args:
        log_policy: log pi(a | s) of all supports [S, A], or of each [M, S, A].
        tables: Those of the task.
        horizon: Steps of an episode, T.
        episodes: K.
        supports: M.
        generator: What they are drawn from.
    """
    draws = torch.rand(
        2, horizon, supports, episodes, generator=generator, device=generator.device, dtype=torch.float64
    )
    next_state, next_action = draws.to(log_policy.device)
    policy, initial, transitions = (
        x.double() for x in (log_policy.exp(), tables.initial, tables.transitions)
    )
    policy = policy.expand(supports, *policy.shape[-2:])
    which = torch.arange(supports, device=policy.device)[:, None]
    state, states, actions = categorical(initial, next_state[0]), [], []
    for t in range(horizon):
        states.append(state)
        actions.append(categorical(policy[which, state], next_action[t]))
        if t + 1 < horizon:  # the state after the last action does not matter
            state = categorical(transitions[state, actions[t]], next_state[t + 1])
    return _with_rewards(torch.stack(states, -1), torch.stack(actions, -1), tables)


def all_supports(tables: Tables, horizon: int, episodes: int) -> Support:
    """Every ordered set of K episodes: [M, K, T] with M = (S * A)^(T * K).

    Raises:
        ValueError: if there are more than `MOST`.
    """
    pairs = tables.rewards.numel()
    if pairs ** (horizon * episodes) > MOST:
        raise ValueError(
            f"episodes: {pairs}^({horizon} * {episodes}) supports are too many to list; sample them instead"
        )
    steps = torch.arange(pairs, device=tables.rewards.device)
    visited = torch.cartesian_prod(*[steps] * (horizon * episodes)).reshape(-1, episodes, horizon)
    num_actions = tables.rewards.shape[-1]
    return _with_rewards(visited // num_actions, visited % num_actions, tables)


def log_likelihood(log_policy: Tensor, support: Support) -> Tensor:
    """sum log pi(a | s) over the steps of one support: a scalar, the part of log p(tau) with theta in it."""
    return (log_policy * visits(support, torch.ones_like(support.rewards), log_policy)).sum()


def log_probability(log_policy: Tensor, tables: Tables, support: Support) -> Tensor:
    """log p(tau) of one support, its transitions included: a scalar."""
    states, actions, _ = support
    moves = tables.transitions[states[:, :-1], actions[:, :-1], states[:, 1:]]  # [K, T - 1]
    environment = tables.initial[states[:, 0]].log().sum() + moves.log().sum()
    return log_likelihood(log_policy, support) + environment


def reinforce(policy: Policy, gamma: float = 1.0) -> Estimator:
    """REINFORCE without a baseline (Williams 1992): mean over episodes of sum_t grad log pi(a_t | s_t) G_t.

    G_t = sum_{l >= 0} gamma^l r_{t+l} is the discounted reward to go. Unbiased where gamma is 1; with a lower
    one its mean is no gradient of the discounted return, which would have a factor gamma^t. The estimate is
    differentiable in theta with the support held fixed. `losses.reinforce_loss` divides by the number of
    steps besides: its rate is T times that of this sum.
    """

    def estimate(theta: Tensor, support: Support) -> Tensor:
        to_go = discounted_sum(support.rewards, gamma) / len(support.rewards)

        def surrogate(theta: Tensor) -> Tensor:
            log_policy = policy(theta)
            return (log_policy * visits(support, to_go, log_policy)).sum()

        return grad(surrogate)(theta)

    return estimate


def visits(support: Support, weights: Tensor, like: Tensor) -> Tensor:
    """The sum of weights [K, T] over the steps of one support at each state and action: as `like`, [S, A].

    A sum over steps of something at (s, a) is one over this table, which is far shorter.
    """
    where = support.states * like.shape[-1] + support.actions
    counts = torch.zeros(like.numel(), dtype=like.dtype, device=like.device)
    return counts.scatter_add(0, where.flatten(), weights.flatten().to(like.dtype)).reshape(like.shape)


def _with_rewards(states: Tensor, actions: Tensor, tables: Tables) -> Support:
    return Support(states, actions, tables.rewards[states, actions])
