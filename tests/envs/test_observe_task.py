"""The wrapper shows the task and changes nothing else."""

import copy
import pickle

import pytest
import torch

from meta_rl.envs import ActionReward, BatchedEnv, PointMass
from meta_rl.envs.observe_task import ObserveTask
from meta_rl.errors import Failure
from meta_rl.randomness import TaskStreams

TASKS = torch.tensor([[0.1, 0.2, 0.3, 0.4], [-0.1, -0.2, -0.3, -0.4]])


def stream() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_task_follows_the_observation() -> None:
    env, plain = ObserveTask(PointMass()), PointMass()
    first, expected = env.reset(TASKS, 3, TaskStreams(0)), plain.reset(TASKS, 3, TaskStreams(0))
    assert first.shape == (2, 3, 6)
    assert first[..., :2].equal(expected)
    assert first[..., 2:].equal(TASKS[:, None].expand(2, 3, 4))
    actions = torch.randn(2, 3, 2)
    (shown, *rest), (hidden, *others) = env.step(actions), plain.step(actions)
    assert shown[..., :2].equal(hidden)
    assert shown[..., 2:].equal(first[..., 2:])
    assert all(a.equal(b) for a, b in zip(rest, others, strict=True))


def test_the_space_is_that_of_both() -> None:
    space = ObserveTask(PointMass()).observation_space
    assert space.shape == (6,)
    assert space.low.tolist() == [-float("inf")] * 2 + [-0.5] * 4
    assert space.high.tolist() == [float("inf")] * 2 + [0.5] * 4


def test_everything_else_is_the_environments() -> None:
    plain = PointMass(horizon=7)
    env = ObserveTask(plain)
    assert isinstance(env, BatchedEnv)
    for name in ("horizon", "action_space", "task_space", "task_parameters", "task_defaults"):
        assert getattr(env, name) is getattr(plain, name)
    assert env.sample_tasks(3, stream()).equal(plain.sample_tasks(3, stream()))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = env.nonsense


FAILURE = Failure(0, 0, 0, "burnt")


class Later(ActionReward):
    """Changes an attribute whose default is that of the base class."""

    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        self.failures = [FAILURE]
        return super().step(actions)


def test_defaults_of_the_base_class_hide_nothing() -> None:
    env = ObserveTask(Later())
    env.reset(torch.zeros(1, 1), 1, TaskStreams(0))
    env.step(torch.zeros(1, 1, 1))
    assert env.failures == [FAILURE]


def test_survives_copying() -> None:
    for env in (
        copy.deepcopy(ObserveTask(PointMass(horizon=7))),
        pickle.loads(pickle.dumps(ObserveTask(PointMass(horizon=7)))),
    ):
        assert env.horizon == 7
        assert env.reset(TASKS, 3, TaskStreams(0)).shape == (2, 3, 6)
