"""The data module through a real trainer: zero lag, and streams that depend on their purpose only."""

from typing import Any

import pytest
import torch

from helpers import fit
from meta_rl.algorithms import MetaLearner, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, PointMass
from meta_rl.policy import GaussianMLP, repeat
from meta_rl.randomness import Phase, generator
from meta_rl.types import MetaBatch

POLICY = PolicyConfig(hidden_sizes=[4])


def make_data(**arguments: Any) -> RolloutDataModule:
    return RolloutDataModule(
        PointMass(horizon=4), **{"meta_batch_size": 3, "fast_batch_size": 2, **arguments}
    )


def make_policy(seed: int = 0) -> tuple[GaussianMLP, dict[str, torch.Tensor]]:
    policy = GaussianMLP(2, 2, PolicyConfig([4]), torch.Generator().manual_seed(seed))
    return policy, {name: p.detach() for name, p in policy.named_parameters()}


class Spy(MetaLearner):
    """Compares the episodes it is given with a rollout of its present policy, then changes the policy."""

    def __init__(self) -> None:
        super().__init__(policy=POLICY)
        self.seen: list[MetaBatch] = []
        self.fresh: list[bool] = []
        self.steps: list[int] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.policy.parameters(), lr=1.0)

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        again = self.datamodule.meta_batch(self.policy, self.theta(), batch.iteration)
        self.fresh.append(torch.equal(again.support.samples.actions, batch.support.samples.actions))
        self.seen.append(batch)
        self.steps.append(self.global_step)
        for p in self.policy.parameters():
            p.grad = torch.full_like(p, 0.5)
        self.meta_optimizer().step()


def test_episodes_come_from_the_policy_as_it_stands() -> None:
    spy = Spy()
    trainer = fit(spy, make_data(), 5)
    assert spy.fresh == [True] * 5
    assert [batch.iteration for batch in spy.seen] == spy.steps == [0, 1, 2, 3, 4]
    assert trainer.global_step == 5
    # The comparison is sharp: the first policy would have acted otherwise in the last iteration.
    first = Spy()
    first.build(PointMass(horizon=4), seed=1)
    stale = make_data().meta_batch(first.policy, first.theta(), 4)
    assert torch.equal(stale.tasks, spy.seen[4].tasks)
    assert not torch.equal(stale.support.samples.actions, spy.seen[4].support.samples.actions)


def test_no_lag_across_epochs() -> None:
    spy = Spy()
    fit(spy, make_data(), 5, limit_train_batches=2)
    assert spy.fresh == [True] * 5
    assert spy.steps == [0, 1, 2, 3, 4]


def test_tasks_depend_on_seed_and_iteration_only() -> None:
    (policy, params), (other, others) = make_policy(0), make_policy(1)
    tasks = make_data().meta_batch(policy, params, 7).tasks
    data = make_data(fast_batch_size=5, gamma=0.5)
    data.meta_batch(policy, params, 3)  # what was drawn before does not matter
    torch.randn(10)
    assert torch.equal(data.meta_batch(other, others, 7).tasks, tasks)
    assert not torch.equal(data.meta_batch(policy, params, 8).tasks, tasks)
    assert not torch.equal(make_data(seed=2).meta_batch(policy, params, 7).tasks, tasks)


def test_episodes_depend_on_seed_iteration_and_phase() -> None:
    policy, params = make_policy()
    data, shared = make_data(), repeat(params, 3)
    tasks = data.env.sample_tasks(3, torch.Generator())

    def actions(data: RolloutDataModule, iteration: int, phase: int) -> torch.Tensor:
        return data.collect(policy, shared, tasks, iteration, phase).samples.actions

    support = actions(data, 0, Phase.SUPPORT)
    assert torch.equal(support, actions(make_data(), 0, Phase.SUPPORT))
    for different in (
        actions(data, 1, Phase.SUPPORT),
        actions(data, 0, Phase.SUPPORT + 1),
        actions(data, 0, Phase.QUERY),
        actions(make_data(seed=2), 0, Phase.SUPPORT),
    ):
        assert not torch.equal(support, different)


def test_meta_batch_is_the_support_phase_of_shared_parameters() -> None:
    policy, params = make_policy()
    data = make_data()
    batch = data.meta_batch(policy, params, 5)
    assert batch.iteration == 5
    assert batch.tasks.shape == (3, 4)
    assert batch.support.returns.shape == (3, 2)
    again = data.collect(policy, repeat(params, 3), batch.tasks, 5, Phase.SUPPORT)
    assert torch.equal(again.samples.actions, batch.support.samples.actions)


def test_streams_of_different_purposes_differ() -> None:
    purposes = [(s, i, p) for s in (0, 1) for i in (0, 1) for p in (*Phase, Phase.SUPPORT + 1)]
    draws = {tuple(torch.rand(4, generator=generator(*purpose)).tolist()) for purpose in purposes}
    assert len(draws) == len(purposes)
    again = torch.rand(4, generator=generator(*purposes[0]))
    assert torch.equal(again, torch.rand(4, generator=generator(*purposes[0])))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("meta_batch_size", 0),
        ("fast_batch_size", 0),
        ("gamma", 0.0),
        ("gamma", 1.01),
        ("gae_lambda", -0.1),
        ("gae_lambda", 1.1),
        ("seed", -1),
    ],
)
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        RolloutDataModule(ActionReward(), **{key: value})
