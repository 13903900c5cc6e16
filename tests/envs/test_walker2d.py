"""Walker2d: what is observed, what is paid, and when an episode ends."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from meta_rl.envs import Walker2dBody
from meta_rl.randomness import TaskStreams


@pytest.fixture
def walker() -> Walker2dBody:
    """Episodes of six tasks, in the pose of the model."""
    env = Walker2dBody(reset_noise_scale=0.0)
    env.reset(torch.ones(6, len(env.task_parameters), dtype=torch.float64), 1, TaskStreams(0))
    return env


def still(env: Walker2dBody, monkeypatch: pytest.MonkeyPatch, action: float = 0.0) -> Any:
    """Rewards and ends of a step in which physics does nothing."""
    monkeypatch.setattr(env.physics, "step", lambda ctrl, alive: np.zeros_like(alive))
    _, rewards, ended = env.step(torch.full((6, 1, 6), action, dtype=torch.float64))
    return rewards[:, 0].tolist(), ended[:, 0].tolist()


def test_pays_the_x_velocity_being_alive_and_little_for_control(
    walker: Walker2dBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    velocity = np.array([2.0, -0.5, 0, 0, 0, 0])[:, None, None]
    monkeypatch.setattr(walker, "velocity", lambda: velocity)
    assert still(walker, monkeypatch)[0][:3] == [3.0, 0.5, 1.0]
    rewards, _ = still(walker, monkeypatch, action=7.0)
    assert rewards[:3] == pytest.approx([2.994, 0.494, 0.994])  # 0.001 * 6, clipped to 1


@pytest.mark.parametrize(("number", "low", "high"), [(1, 0.8, 2.0), (2, -1.0, 1.0)])
def test_ends_where_height_or_angle_leaves_its_range(
    walker: Walker2dBody, monkeypatch: pytest.MonkeyPatch, number: int, low: float, high: float
) -> None:
    walker.physics.qpos[:, number] = [low, high, np.nextafter(low, -9), np.nextafter(high, 9), math.nan, 0.9]
    rewards, ended = still(walker, monkeypatch)
    assert ended == [False, False, True, True, True, False]
    assert rewards == [1, 1, 0, 0, 0, 1]


def test_observed_velocities_are_cut_off(walker: Walker2dBody, monkeypatch: pytest.MonkeyPatch) -> None:
    walker.physics.qpos[:] = np.arange(9) * 20
    walker.physics.qvel[:] = [-30, -10, -9.5, 0, 1, 2, 9.5, 10, 30]
    before = walker.physics.qvel.copy()
    observed = walker.observation()
    assert observed.shape == (6, 1, 17)
    assert observed[0, 0, :8].tolist() == [20, 40, 60, 80, 100, 120, 140, 160]  # positions are not
    assert observed[0, 0, 8:].tolist() == [-10, -10, -9.5, 0, 1, 2, 9.5, 10, 10]
    assert np.array_equal(walker.physics.qvel, before)
    assert Walker2dBody(observe_position=True).observation_space.shape == (18,)


def test_starts_are_near_the_pose_of_the_model() -> None:
    env = Walker2dBody()
    env.reset(torch.ones(1, len(env.task_parameters)), 500, TaskStreams(0))
    assert 0.0049 < np.abs(env.physics.qpos - env.model.qpos0).max() <= 0.005
    assert env.physics.qvel.std() == pytest.approx(0.005, rel=0.05)


def test_presets() -> None:
    assert Walker2dBody().dt == pytest.approx(0.01)
    assert Walker2dBody(preset="gymnasium").dt == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("xml_file", "complaint"),
    [
        ("ant.xml", "no robot for Walker2dBody: its first joints must be slide, slide, hinge"),
        ("half_cheetah.xml", r"it starts at a height of 0 m, outside \[0.8, 2.0\]"),
    ],
)
def test_another_robot_is_refused(xml_file: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Walker2dBody(xml_file=xml_file)
