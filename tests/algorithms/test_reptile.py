"""Reptile through a real trainer: its update by hand, learning, and exact resuming."""

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import (
    bit_identical,
    final_state,
    fit,
    flatten,
    make_data,
    plain_adapt,
    record_logs,
    record_phases,
    resumed,
)
from meta_rl.algorithms import PolicyConfig, Reptile
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, Bandit, BatchedEnv, ConstantReward
from meta_rl.policy import repeat
from meta_rl.randomness import Phase
from meta_rl.types import MetaBatch, Samples

POLICY = PolicyConfig(hidden_sizes=[8], nonlinearity="tanh")
BOTH = pytest.mark.parametrize("outer", ["sgd", "adam"])


class Spy(Reptile):
    """Remembers theta and the episodes of adaptation, and makes of them what adaptation should."""

    def adaptation(self, batch: MetaBatch, *args: Any) -> Any:
        self.before = {name: p.clone() for name, p in self.theta().items()}
        pairs = super().adaptation(batch, *args)
        self.episodes = [episodes for _, episodes in pairs]
        theta = repeat(self.before, len(batch.tasks))
        with torch.no_grad():
            self.adapted = self.inner.replay(theta, [e.samples for e in self.episodes])
        return pairs


def make(algorithm: type[Reptile] = Reptile, **arguments: Any) -> Any:
    return algorithm(**{"inner_lr": 0.05, "policy": POLICY, **arguments})


def mean(records: list[dict[str, float]], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


@pytest.mark.parametrize("env", [Bandit(), ActionReward(horizon=3)], ids=["Bandit", "ActionReward"])
@pytest.mark.parametrize("outer", [{}, {"outer_optimizer": "adam", "outer_lr": 0.03}], ids=["sgd", "adam"])
def test_learns_to_adapt(env: BatchedEnv, outer: dict) -> None:
    learner = make(**outer)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(env, meta_batch_size=20, fast_batch_size=20), 25)
    assert mean(records[-3:], "return_post") > mean(records[:3], "return_post") + 0.3 * env.horizon
    assert mean(records[-3:], "return_post") > mean(records[-3:], "return_pre") + 0.1 * env.horizon


def test_update_by_hand() -> None:
    learner = make(Spy, outer_lr=0.25, num_inner_steps=2)
    fit(learner, make_data(), 1)
    mean_adapted = torch.stack([_task(learner.adapted, i) for i in range(3)]).mean(0)
    theta = flatten(learner.before)
    torch.testing.assert_close(flatten(learner.theta()), theta + 0.25 * (mean_adapted - theta))


def test_adaptation_is_k_gradient_steps_on_fresh_episodes() -> None:
    learner = make(Spy, num_inner_steps=3)
    fit(learner, make_data(), 1)
    support = [batch.samples for batch in learner.episodes]
    assert len(support) == 3
    assert not torch.equal(support[0].actions, support[1].actions)
    theta = {name: p.double().requires_grad_() for name, p in learner.before.items()}
    double = [Samples(*(x.double() for x in samples)) for samples in support]
    for i in range(3):
        expected = plain_adapt(learner.policy.double(), theta, double, i, [0.05] * 3)
        torch.testing.assert_close(_task(learner.adapted, i).double(), flatten(expected), rtol=0, atol=1e-5)


def _task(params: dict[str, Tensor], i: int) -> Tensor:
    return flatten({name: value[i] for name, value in params.items()})


def test_outer_adam_takes_theta_minus_the_mean_for_its_gradient() -> None:
    learner = make(Spy, outer_optimizer="adam", outer_lr=0.01)
    fit(learner, make_data(), 1)
    theta = {name: p.clone().requires_grad_() for name, p in learner.before.items()}
    adam = torch.optim.Adam(theta.values(), lr=0.01)
    for name, p in theta.items():
        p.grad = p.detach() - learner.adapted[name].mean(0)
    adam.step()
    torch.testing.assert_close(flatten(learner.theta()), flatten(theta))


@BOTH
def test_a_constant_reward_changes_nothing(outer: str) -> None:
    # One step and a power of two of episodes: the mean of equal numbers, and so the advantage, is exact.
    learner = make(outer_optimizer=outer)
    data = RolloutDataModule(ConstantReward(horizon=1), meta_batch_size=4, fast_batch_size=16)
    learner.build(data.env, data.seed)
    before, records = flatten(learner.theta()).clone(), record_logs(learner)
    fit(learner, data, 2)
    assert torch.equal(flatten(learner.theta()), before)
    assert all(r["gradient_norm"] == 0 and r["kl"] == 0 for r in records)


@pytest.mark.parametrize("steps", [1, 3])
def test_log_of_an_iteration(steps: int) -> None:
    learner = make(num_inner_steps=steps)
    records = record_logs(learner)
    fit(learner, make_data(), 2)
    # 3 tasks x 4 episodes x 5 steps; with one inner step further episodes are collected for the log
    phases = max(steps, 2)
    assert [r["env_steps"] for r in records] == [60 * phases, 120 * phases]
    assert all(r["kl"] > 0 for r in records)


@pytest.mark.parametrize(
    ("steps", "phases"),
    [(1, [Phase.SUPPORT, Phase.QUERY]), (3, [Phase.SUPPORT, Phase.SUPPORT + 1, Phase.SUPPORT + 2])],
)
def test_every_collection_of_episodes_has_a_stream_of_its_own(steps: int, phases: list[int]) -> None:
    data = make_data()
    streams = record_phases(data)
    fit(make(num_inner_steps=steps), data, 2)
    assert streams == [(iteration, phase) for iteration in (0, 1) for phase in phases]


@BOTH
@pytest.mark.parametrize("announced", [True, False], ids=["interrupted", "continued"])
def test_resuming_is_bit_identical(outer: str, announced: bool, tmp_path: Any) -> None:
    through = fit(make(outer_optimizer=outer, outer_lr=0.1), make_data(), 5)
    again = resumed(lambda: make(outer_optimizer=outer, outer_lr=0.1), 2, 5, announced, tmp_path)
    assert again.global_step == 5
    assert bit_identical(final_state(through), final_state(again))


@pytest.mark.parametrize(
    ("key", "value"), [("outer_lr", 0.0), ("outer_lr", -1.0), ("num_inner_steps", 0), ("inner_lr", 0.0)]
)
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        Reptile(**{key: value})
