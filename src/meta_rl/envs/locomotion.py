"""Rewards and terminations of locomotion: pure functions on arrays, one number an episode."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def direction_reward(x_velocity: Array, direction: Array) -> Array:
    """Velocity in m/s along `direction`, 1 for forward and -1 for backward."""
    return direction * x_velocity


def heading_reward(velocity: Array, angle: Array) -> Array:
    """The part of velocities [..., 2] in m/s along the direction at `angle` rad from the x-axis."""
    return velocity[..., 0] * np.cos(angle) + velocity[..., 1] * np.sin(angle)


def velocity_reward(x_velocity: Array, goal: Array, bonus: float) -> Array:
    """bonus - |velocity - goal|. With a bonus, ending the episode does not pay."""
    return bonus - np.abs(x_velocity - goal)


def position_reward(position: Array, goal: Array, radius: float) -> Array:
    """1 - distance / radius of positions [..., 2] from goals [..., 2]; 1 at the goal."""
    return 1.0 - np.linalg.norm(position - goal, axis=-1) / radius


def control_cost(actions: Array, weight: float) -> Array:
    """weight * sum(action^2) over the components of actions [..., A], clipped to [-1, 1]."""
    return weight * np.square(np.clip(actions, -1.0, 1.0)).sum(-1)


def within(z: Array, low: float, high: float) -> NDArray[np.bool_]:
    """Whether heights in m lie in [low, high]; NaN does not."""
    return (low <= z) & (z <= high)
