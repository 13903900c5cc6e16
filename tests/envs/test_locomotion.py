"""Rewards and terminations of locomotion: numbers worked by hand."""

import numpy as np
import pytest

from meta_rl.envs.locomotion import (
    control_cost,
    direction_reward,
    heading_reward,
    position_reward,
    velocity_reward,
    within,
)

NAN = float("nan")


def test_direction_pays_the_velocity_forward_or_backward() -> None:
    velocity, direction = np.array([2.0, 2.0, -0.5, -0.5]), np.array([1.0, -1.0, 1.0, -1.0])
    assert direction_reward(velocity, direction).tolist() == [2.0, -2.0, -0.5, 0.5]


def test_a_heading_pays_the_velocity_along_it() -> None:
    velocity = np.array([[3.0, 4.0]] * 5)
    angle = np.arctan2([0.0, 1.0, -1.0, 4.0, -3.0], [1.0, 0.0, -1.0, 3.0, 4.0])
    # x, y, -(x + y) / sqrt 2, along the velocity itself, and across it
    assert heading_reward(velocity, angle) == pytest.approx([3.0, 4.0, -7.0 / 2**0.5, 5.0, 0.0])


def test_velocity_pays_the_bonus_minus_the_gap_on_either_side() -> None:
    velocity, goal = np.array([0.5, 1.5, -1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert velocity_reward(velocity, goal, bonus=1.0).tolist() == [0.5, 0.5, -1.0, 1.0]
    assert velocity_reward(velocity, goal, bonus=0.0).tolist() == [-0.5, -0.5, -2.0, 0.0]


def test_position_pays_1_at_the_goal_and_0_at_the_radius() -> None:
    position = np.array([[3.0, 4.0], [0.0, 0.0], [0.6, 0.8], [-3.0, -4.0]])
    rewards = position_reward(position, np.array([3.0, 4.0]), radius=5.0)
    assert rewards == pytest.approx([1.0, 0.0, 0.2, -1.0])  # distances 0, 5, 4 (0.8 of the way is left), 10


def test_control_costs_the_sum_of_squares_of_clipped_actions() -> None:
    actions = np.array([[[0.5, -1.0]], [[3.0, -7.0]], [[0.0, 0.0]]])  # [N, K, A]
    # 0.25 + 1, 1 + 1, 0
    assert control_cost(actions, 0.1) == pytest.approx(np.array([[0.125], [0.2], [0.0]]))


def test_the_bounds_of_a_height_belong_to_it_and_nan_does_not() -> None:
    below, above = np.nextafter(0.2, 0), np.nextafter(1.0, 2)
    heights = np.array([0.2, 1.0, 0.6, below, above, -0.5, NAN, np.inf, -np.inf])
    assert within(heights, 0.2, 1.0).tolist() == [True, True, True, *[False] * 6]


def test_one_number_an_episode() -> None:
    velocity, goal = np.zeros((3, 2)), np.ones((3, 1))  # tasks broadcast over episodes
    assert direction_reward(velocity, goal).shape == velocity_reward(velocity, goal, 0.0).shape == (3, 2)
    assert heading_reward(np.zeros((3, 2, 2)), goal).shape == (3, 2)
    assert position_reward(np.zeros((3, 2, 2)), np.ones((3, 1, 2)), 1.0).shape == (3, 2)
    assert control_cost(np.zeros((3, 2, 8)), 1.0).shape == (3, 2)
