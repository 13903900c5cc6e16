"""Adaptation by evolution strategies: a step by hand, and what it does on probe tasks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import flatten, theta_of
from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import ActionReward, ConstantReward
from meta_rl.errors import UserError
from meta_rl.evaluation.curve import adapt_policy, adaptation_curve
from meta_rl.evolution import EvolutionStrategy
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, Params

TARGETS = torch.tensor([[0.9], [-0.6]])
SIGMA, RATE, K = 0.2, 0.1, 6


@pytest.fixture
def policy() -> GaussianMLP:
    """Whose action is a bias plus noise; the observation is 0."""
    return GaussianMLP(1, 1, PolicyConfig([], init_std=0.3), torch.Generator().manual_seed(0))


def sampler(episodes: int = K, env: Any = None) -> Sampler:
    return Sampler(env or ActionReward(), episodes, AdvantageEstimator())


def spied(collected: list[Experience], streams: TaskStreams, policy: GaussianMLP, env: Any = None) -> Any:
    """A `collect` that keeps what it returns."""
    source = sampler(env=env)

    def collect(params: Params, _: int, sigma: float = 0.0) -> Experience:
        collected.append(source.collect(policy, params, TARGETS, streams, sigma))
        return collected[-1]

    return collect


def test_a_step_by_hand(policy: GaussianMLP) -> None:
    inner, theta = EvolutionStrategy(policy, SIGMA, inner_lr=RATE), theta_of(policy)
    seen: list[Experience] = []
    adapted = inner.advance(inner.start(repeat(theta, 2)), spied(seen, TaskStreams(0), policy))
    (trials,) = seen
    assert trials.directions is not None
    for i in range(2):
        returns = trials.returns[i].double()
        z = (returns - returns.mean()) / returns.std(correction=0)
        moved = torch.zeros_like(flatten(theta))
        for k in range(K):
            g = flatten({name: x[i, k // 2] for name, x in trials.directions.items()})
            moved += RATE / (K * SIGMA) * float(z[k]) * (1 - 2 * (k % 2)) * g
        found = flatten({name: x[i] for name, x in adapted.params.items()})
        torch.testing.assert_close(found, flatten(theta) + moved)
    assert adapted.steps == 1


def test_every_step_has_directions_of_its_own(policy: GaussianMLP) -> None:
    inner = EvolutionStrategy(policy, SIGMA, inner_lr=RATE)
    seen: list[Experience] = []
    collect, adapted = spied(seen, TaskStreams(0), policy), inner.start(repeat(theta_of(policy), 2))
    for _ in range(2):
        adapted = inner.advance(adapted, collect)
    drawn = [
        tuple(row.flatten().tolist()) for e in seen for x in [e.directions or {}] for row in x["mean.0.bias"]
    ]
    assert len(set(drawn)) == 4  # two steps of two tasks


def test_adaptation_raises_the_return_and_measures_it_without_perturbations(policy: GaussianMLP) -> None:
    inner = EvolutionStrategy(policy, SIGMA, inner_lr=RATE)
    curve = adaptation_curve(policy, inner, ActionReward(), TARGETS, 1, 40, AdvantageEstimator(), seed=0)
    before, after = curve.mean(-1).unbind(1)
    assert (after > before + 0.5).all()
    steps = adapt_policy(policy, inner, sampler(), TARGETS, 2, TaskStreams(0))
    assert all(episodes.directions is None for _, episodes in steps)


def test_equal_returns_and_a_frozen_deviation_move_nothing(policy: GaussianMLP) -> None:
    inner, theta = EvolutionStrategy(policy, SIGMA, inner_lr=RATE), repeat(theta_of(policy), 2)
    still = inner.advance(inner.start(theta), spied([], TaskStreams(0), policy, ConstantReward(horizon=1)))
    assert all(still.params[name].equal(value) for name, value in theta.items())
    frozen = EvolutionStrategy(policy, SIGMA, inner_lr=RATE, adapt_log_std=False)
    moved = frozen.advance(frozen.start(theta), spied([], TaskStreams(0), policy)).params
    assert moved["log_std"].equal(theta["log_std"])
    assert not moved["mean.0.bias"].equal(theta["mean.0.bias"])


def test_episodes_come_in_pairs(policy: GaussianMLP) -> None:
    params = repeat(theta_of(policy), 2)
    with pytest.raises(UserError, match=r"data\.fast_batch_size .* in pairs, got 3; choose an even number"):
        sampler(3).collect(policy, params, TARGETS, TaskStreams(0), SIGMA)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf")])
def test_impossible_values(policy: GaussianMLP, value: float) -> None:
    with pytest.raises(ValueError, match="inner_sigma"):
        EvolutionStrategy(policy, value)


def test_every_episode_is_played_with_its_own_parameters(policy: GaussianMLP) -> None:
    params: Params = repeat(theta_of(policy), 2)
    e = sampler().collect(policy, params, TARGETS, TaskStreams(0), SIGMA)
    assert e.directions is not None
    log_probs: Tensor = e.samples.log_probs.view(2, K, -1)
    actions = e.samples.actions.view(2, K, -1)
    for i in range(2):
        for k in range(K):
            sign = 1 - 2 * (k % 2)
            bias, log_std = (
                params[name][i] + sign * SIGMA * e.directions[name][i, k // 2]
                for name in ("mean.0.bias", "log_std")
            )
            expected = torch.distributions.Normal(bias, log_std.exp()).log_prob(actions[i, k])
            torch.testing.assert_close(log_probs[i, k], expected)
