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
        from_origin = self.horizon == 100 and not tasks[:, 2:].any()
        return "point_mass" if from_origin else None
