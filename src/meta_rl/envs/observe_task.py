"""A task family whose tasks are observed: the environment of an oracle."""

from typing import cast

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.wrapper import Wrapper
from meta_rl.randomness import TaskStreams


class ObserveTask(Wrapper):
    """Appends the task's parameters to every observation: [N, K, O] -> [N, K, O + P].

    Args:
        env: The task family whose tasks become visible.
    """

    def __init__(self, env: BatchedEnv) -> None:
        super().__init__(env)
        spaces = env.observation_space, env.task_space
        low, high = np.concatenate([s.low for s in spaces]), np.concatenate([s.high for s in spaces])
        self.observation_space = Box(low, high, dtype=np.float32)

    def clone(self) -> BatchedEnv | None:
        env = self.env.clone()
        return None if env is None else cast(BatchedEnv, ObserveTask(env))

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self._tasks = tasks[:, None].expand(-1, episodes, -1)  # [N, K, P]
        return self._append(self.env.reset(tasks, episodes, streams))

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        observations, rewards, terminated = self.env.step(actions)
        return self._append(observations), rewards, terminated

    def _append(self, observations: Tensor) -> Tensor:
        return torch.cat([observations, self._tasks.to(observations)], -1)
