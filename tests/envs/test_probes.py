"""The probes: transitions worked by hand."""

import pytest
import torch

from meta_rl.envs import ActionReward, Bandit, BatchedEnv, ConstantReward
from meta_rl.randomness import TaskStreams

STREAM = TaskStreams(0)
TASKS = torch.tensor([[0.5], [-1.0]])
ACTIONS = torch.tensor([[[0.5], [1.5], [-0.5]], [[-1.0], [0.0], [1.0]]])


@pytest.mark.parametrize("env", [ConstantReward(), ActionReward(), Bandit()])
def test_shapes(env: BatchedEnv) -> None:
    assert env.reset(TASKS, 3, STREAM).shape == (2, 3, 1)
    observations, rewards, terminated = env.step(ACTIONS)
    assert observations.shape == (2, 3, 1)
    assert rewards.shape == terminated.shape == (2, 3)
    assert terminated.dtype == torch.bool
    tasks = env.sample_tasks(1000, torch.Generator().manual_seed(0))
    assert tasks.shape == (1000, 1)
    assert (tasks.abs() <= 1).all()
    assert tasks.min() < -0.9
    assert tasks.max() > 0.9


def test_constant_reward() -> None:
    env = ConstantReward(horizon=7)
    env.reset(TASKS, 3, STREAM)
    _, rewards, terminated = env.step(ACTIONS)
    assert (rewards == 1).all()
    assert not terminated.any()
    assert env.horizon == 7


def test_action_reward_by_hand() -> None:
    env = ActionReward()
    env.reset(TASKS, 3, STREAM)
    for _ in range(2):  # no step depends on the one before
        observations, rewards, terminated = env.step(ACTIONS)
        assert rewards.tolist() == [[0, -1, -1], [0, -1, -4]]
        assert not observations.any()
        assert not terminated.any()


def test_bandit_ends_after_one_step() -> None:
    env = Bandit()
    env.reset(TASKS, 3, STREAM)
    _, rewards, terminated = env.step(ACTIONS)
    assert rewards.tolist() == [[0, -1, -1], [0, -1, -4]]
    assert terminated.all()
    assert env.horizon == 1


@pytest.mark.parametrize("make", [ConstantReward, ActionReward])
def test_impossible_horizon(make: type[ConstantReward] | type[ActionReward]) -> None:
    with pytest.raises(ValueError, match="horizon"):
        make(horizon=0)


def test_they_have_the_type_of_their_tasks() -> None:
    tasks = torch.zeros(2, 1, dtype=torch.float64)
    for env in (ConstantReward(), ActionReward(), Bandit()):
        assert env.reset(tasks, 3, TaskStreams(0)).dtype == torch.float64
