"""Environments that a user of the package might have."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

GOAL = np.array([0.3, 0.2])


class Point(gym.Env):
    """The point mass with a fixed goal, but with actions from 0 to 10, as a table [2, 1]."""

    def __init__(self, limit: int | None = None, nested: bool = False) -> None:
        size = Box(-np.inf, np.inf, (1,))
        self.nested = nested
        self.observation_space: Any = Dict(x=size, y=size) if nested else Box(-np.inf, np.inf, (2,))
        self.action_space = Box(0.0, 10.0, (2, 1), np.float32)
        self.limit = limit
        self.actions: list[np.ndarray] = []
        self.seeds: list[int | None] = []
        self.steps: list[int] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.steps.append(0)
        self.position = np.zeros(2)
        return self._see(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self.actions.append(action)
        self.steps[-1] += 1
        self.position = self.position + 0.1 * (action[:, 0] / 5 - 1)
        distance = float(np.linalg.norm(self.position - GOAL))
        return self._see(), -distance, distance < 0.01, self.steps[-1] == self.limit, {}

    def _see(self) -> Any:
        seen = self.position.astype(np.float32)
        return {"x": seen[:1], "y": seen[1:]} if self.nested else seen


class Switches(gym.Env):
    """One of two switches, numbered 3 and 4, pays; CartPole's observations, without meaning."""

    observation_space = Box(-1.0, 1.0, (4,))
    action_space = Discrete(2, start=3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return np.full(4, 0.5, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        return np.full(4, 0.5, np.float32), float(action == 4), False, False, {}
