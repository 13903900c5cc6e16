"""The point mass, and the one with sparse rewards: transitions worked by hand."""

import pytest
import torch
from torch import Tensor

from meta_rl.envs import PointMass, PointMassSparse
from meta_rl.randomness import TaskStreams

STREAM = TaskStreams(0)


def close(actual: Tensor, expected: list) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=0, atol=1e-6)


def test_transitions_by_hand() -> None:
    env = PointMass()
    tasks = torch.tensor([[0.3, 0.4, 0.0, 0.0], [-0.5, 0.0, 0.1, -0.2]])  # goal, start
    observation = env.reset(tasks, 2, STREAM)
    close(observation, [[[0.0, 0.0], [0.0, 0.0]], [[0.1, -0.2], [0.1, -0.2]]])
    actions = torch.tensor([[[1.0, -0.5], [0.0, 0.0]], [[-1.0, 1.0], [0.0, -1.0]]])
    observation, reward, terminated = env.step(actions)
    close(observation, [[[0.1, -0.05], [0.0, 0.0]], [[0.0, -0.1], [0.1, -0.3]]])
    # Distances after the move: (0.2, 0.45), (0.3, 0.4); (0.5, 0.1), (0.6, 0.3)
    close(reward, [[-(0.2425**0.5), -0.5], [-(0.26**0.5), -(0.45**0.5)]])
    assert not terminated.any()
    observation, _, _ = env.step(actions)
    close(observation[0], [[0.2, -0.1], [0.0, 0.0]])


def test_actions_are_clipped_then_scaled() -> None:
    env = PointMass()
    env.reset(torch.zeros(1, 4), 3, STREAM)
    observation, _, _ = env.step(torch.tensor([[[5.0, -5.0], [1.0, -1.0], [0.1, 0.0]]]))
    close(observation, [[[0.1, -0.1], [0.1, -0.1], [0.01, 0.0]]])


def test_the_point_may_leave_the_square() -> None:
    env = PointMass()
    env.reset(torch.tensor([[0.0, 0.0, 0.5, 0.5]]), 1, STREAM)
    observation, reward, _ = env.step(torch.ones(1, 1, 2))
    close(observation, [[[0.6, 0.6]]])
    close(reward, [[-(0.72**0.5)]])


def test_ends_within_the_radius_in_both_coordinates() -> None:
    env = PointMass(goal_radius=0.01)
    # The goal is at the origin, and the point does not move.
    starts = torch.tensor([[0.009, -0.009], [0.009, 0.011], [-0.011, 0.0], [0.011, 0.011]])
    env.reset(torch.cat([torch.zeros(4, 2), starts], 1), 1, STREAM)
    _, _, terminated = env.step(torch.zeros(4, 1, 2))
    assert terminated[:, 0].tolist() == [True, False, False, False]


def test_a_terminated_episode_stays_so() -> None:
    env = PointMass()
    env.reset(torch.zeros(1, 4), 2, STREAM)
    away = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    assert env.step(away)[2].tolist() == [[True, False]]
    assert env.step(torch.ones(1, 2, 2))[2].tolist() == [[True, False]]
    env.reset(torch.zeros(1, 4), 2, STREAM)  # and a new one starts alive
    assert env.step(torch.ones(1, 2, 2))[2].tolist() == [[False, False]]


def test_radius_0_never_ends_an_episode() -> None:
    env = PointMass(goal_radius=0.0)
    env.reset(torch.zeros(1, 4), 1, STREAM)
    _, reward, terminated = env.step(torch.zeros(1, 1, 2))
    assert reward.item() == 0
    assert not terminated.any()


def test_tasks_fill_the_square() -> None:
    tasks = PointMass().sample_tasks(4000, torch.Generator().manual_seed(0))
    assert tasks.shape == (4000, 4)
    assert (tasks.abs() <= 0.5).all()
    # Uniform on [-1/2, 1/2]: mean 0, variance 1/12; the columns are independent
    assert (tasks.mean(0).abs() < 0.02).all()
    torch.testing.assert_close(tasks.T.cov(), torch.eye(4) / 12, rtol=0, atol=0.005)


def test_start_at_the_origin() -> None:
    tasks = PointMass(sample_start=False).sample_tasks(100, torch.Generator().manual_seed(0))
    assert not tasks[:, 2:].any()
    assert tasks[:, :2].all()
    both = PointMass().sample_tasks(100, torch.Generator().manual_seed(0))
    assert torch.equal(tasks[:, :2], both[:, :2])


def test_spaces_and_names() -> None:
    env = PointMass(horizon=7)
    assert env.horizon == 7
    assert env.observation_space.shape == env.action_space.shape == (2,)
    assert env.task_space.shape == (len(env.task_parameters),)
    assert env.task_parameters[:2] == ("goal_x", "goal_y")
    assert env.task_defaults == {"start_x": 0, "start_y": 0}


@pytest.mark.parametrize(("key", "value"), [("horizon", 0), ("horizon", -1), ("goal_radius", -0.01)])
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        PointMass(**{key: value})


# Sparse rewards


def test_only_near_the_goal_there_is_a_reward() -> None:
    env = PointMassSparse(radius=0.2)
    tasks = torch.tensor([[0.5, 0.5], [0.5, -0.5]])
    close(env.reset(tasks, 3, STREAM), [[[0.0, 0.0]] * 3] * 2)
    # Four diagonal steps to (0.4, 0.4), then one to (0.5, 0.5), (0.4, 0.5), or back to (0.3, 0.4).
    for _ in range(3):
        _, reward, _ = env.step(torch.ones(2, 3, 2))
        close(reward, [[0.0] * 3] * 2)  # the nearest is 0.28 away
    _, reward, _ = env.step(torch.ones(2, 3, 2))
    close(reward, [[1 - 0.1 * 2**0.5 / 0.2] * 3, [0.0] * 3])
    observation, reward, ended = env.step(torch.tensor([[1.0, 1.0], [0.0, 1.0], [-1.0, 0.0]]).expand(2, 3, 2))
    close(observation[0], [[0.5, 0.5], [0.4, 0.5], [0.3, 0.4]])
    close(reward, [[1.0, 0.5, 0.0], [0.0] * 3])  # distances 0, 0.1 and 0.22; the other corner is 0.8 away
    assert not ended.any()


def test_goals_are_the_four_corners() -> None:
    env = PointMassSparse()
    tasks = env.sample_tasks(4000, torch.Generator().manual_seed(0))
    assert tasks.dtype == torch.float32
    corners, counts = tasks.unique(dim=0, return_counts=True)
    assert corners.tolist() == [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]
    assert ((counts - 1000).abs() < 100).all()  # 3.7 of their deviations
    assert all(env.task_row(dict(zip(env.task_parameters, corner, strict=True))) for corner in tasks.tolist())


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ({"goal_x": 0.5, "goal_y": 0.1}, "goal_y: 0.1 is none of -0.5, 0.5"),
        ({"goal_x": 0.6, "goal_y": 0.5}, r"goal_x: 0.6 is outside \[-0.5, 0.5\]"),
        ({"goal_x": 0.5}, "column goal_y is missing"),
        ({"goal_x": 0.5, "goal_y": 0.5, "start_x": 0.0}, "unknown column 'start_x'"),
    ],
)
def test_other_goals_are_refused(task: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PointMassSparse().task_row(task)


def test_sparse_returns_are_compared_with_no_published_ones() -> None:
    env = PointMassSparse()
    assert env.published(env.sample_tasks(4, torch.Generator().manual_seed(0))) is None


@pytest.mark.parametrize(
    ("key", "value"), [("horizon", 0), ("radius", 0.0), ("radius", 0.6), ("radius", float("nan"))]
)
def test_impossible_values_of_the_sparse_one(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=key):
        PointMassSparse(**{key: value})


def test_what_is_published_is_of_these_very_tasks() -> None:
    class Scaled(PointMass):
        """The same goals for other rewards."""

    tasks = torch.tensor([[0.3, 0.2, 0.0, 0.0]])
    assert PointMass(sample_start=False).published(tasks) == "point_mass"
    others = [Scaled(), PointMass(goal_radius=0.4), PointMass(horizon=50)]
    assert [env.published(tasks) for env in others] == [None] * 3
