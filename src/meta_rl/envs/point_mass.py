"""2D navigation of a point mass (Finn et al. 2017, section 5.3), batched in torch."""

import math
from types import MappingProxyType

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from meta_rl.envs.base import BatchedEnv
from meta_rl.randomness import TaskStreams

MAX_SPEED = 0.1  # distance per step at an action of 1
HALF_SIDE = 0.5  # starts and goals lie in [-0.5, 0.5]^2


class PointMass(BatchedEnv):
    """Reach a goal in the unit square. Observed: the position. Reward: minus the distance after the move.

    Args:
        sample_start: Draw the start with the task; otherwise every episode starts at the origin, as in the
            published MAML results.
        horizon: Steps per episode.
        goal_radius: An episode ends when both coordinates are this close to the goal; 0 never ends one.

    Raises:
        ValueError: for a horizon below 1 or a negative radius.
    """

    task_parameters = ("goal_x", "goal_y", "start_x", "start_y")
    task_defaults = MappingProxyType({"start_x": 0.0, "start_y": 0.0})

    def __init__(self, sample_start: bool = True, horizon: int = 100, goal_radius: float = 0.01) -> None:
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, got {horizon}")
        if not 0 <= goal_radius < math.inf:
            raise ValueError(f"goal_radius must be finite and not negative, got {goal_radius}")
        self.sample_start = sample_start
        self.horizon = horizon
        self.goal_radius = goal_radius
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        self.task_space = Box(-HALF_SIDE, HALF_SIDE, (4,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        tasks = torch.rand(n, 4, generator=generator) * (2 * HALF_SIDE) - HALF_SIDE
        if not self.sample_start:
            tasks[:, 2:] = 0.0
        return tasks

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self._goal = tasks[:, None, :2]
        self._position = tasks[:, None, 2:].expand(-1, episodes, -1)
        self._terminated = torch.zeros(len(tasks), episodes, dtype=torch.bool, device=tasks.device)
        return self._position

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self._position = self._position + actions.clamp(-1.0, 1.0) * MAX_SPEED
        offset = self._position - self._goal
        reward = -torch.linalg.vector_norm(offset, dim=-1)
        if self.goal_radius > 0:
            self._terminated = self._terminated | (offset.abs() < self.goal_radius).all(-1)
        return self._position, reward, self._terminated

    def published(self, tasks: Tensor, scores: bool = False) -> str | None:
        same = type(self) is PointMass and (self.horizon, self.goal_radius) == (100, 0.01)
        return "point_mass" if same and not tasks[:, 2:].any() else None


class PointMassSparse(PointMass):
    """Find the goal, one of the square's corners. Observed: the position. Starts at the origin, never ends.

    Reward after the move: 1 - distance / radius within `radius` of the goal, and 0 elsewhere. As in the
    sparse task of Rothfuss et al. (2019), a gradient step can only help where an episode has come near the
    goal, so that it pays to learn how to explore.

    Args:
        radius: Distance from the goal within which there is a reward, at most the square's half side.
        horizon: Steps per episode; a corner is five steps away.

    Raises:
        ValueError: for a horizon below 1 or a radius out of range.
    """

    task_parameters = ("goal_x", "goal_y")
    task_defaults = MappingProxyType({})
    task_choices = MappingProxyType(dict.fromkeys(task_parameters, (-HALF_SIDE, HALF_SIDE)))

    def __init__(self, radius: float = 0.2, horizon: int = 100) -> None:
        super().__init__(sample_start=False, horizon=horizon, goal_radius=0.0)
        if not 0 < radius <= HALF_SIDE:
            raise ValueError(f"radius must lie in (0, {HALF_SIDE}], got {radius}")
        self.radius = radius
        self.task_space = Box(-HALF_SIDE, HALF_SIDE, (2,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(2, (n, 2), generator=generator) * (2 * HALF_SIDE) - HALF_SIDE

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        return super().reset(torch.cat([tasks, torch.zeros_like(tasks)], 1), episodes, streams)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        position, minus_distance, terminated = super().step(actions)
        return position, (1 + minus_distance / self.radius).clamp(min=0), terminated
