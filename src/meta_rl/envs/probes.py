"""Probe task families with a known best answer: debug a learner on these first."""

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from meta_rl.envs.base import BatchedEnv
from meta_rl.randomness import TaskStreams


class _Probe(BatchedEnv):
    """What probes have in common: the observation is 0, the action a number, the task a hidden `target`.

    Actions are not clipped, so that the gradient of the expected reward is known in closed form.
    """

    task_parameters = ("target",)

    def __init__(self, horizon: int = 5) -> None:
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1 step, got {horizon}")
        self.horizon = horizon
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = Box(-1.0, 1.0, (1,), np.float32)
        self.task_space = Box(-1.0, 1.0, (1,), np.float32)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(n, 1, generator=generator) * 2 - 1

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self._target = tasks  # [N, 1], broadcasts over episodes
        self._zeros = tasks.new_zeros(len(tasks), episodes, 1)
        return self._zeros

    def _transition(self, reward: Tensor, terminated: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        return self._zeros, reward, torch.full_like(reward, terminated, dtype=torch.bool)


class ConstantReward(_Probe):
    """Reward 1 at every step: every policy is optimal, and the return is the horizon.

    With a horizon of 1 the advantages are exactly 0. With more, what the baseline's features cannot express
    of the returns is normalised into advantages, and adaptation follows that noise.
    """

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._transition(torch.ones_like(actions[..., 0]))


class ActionReward(_Probe):
    """Reward -(action - target)^2: the best policy without adaptation plays the mean target, 0."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._transition(-((actions[..., 0] - self._target) ** 2))


class Bandit(ActionReward):
    """`ActionReward` with episodes of a single step: discounting and bootstrapping cannot matter."""

    def __init__(self) -> None:
        super().__init__(horizon=1)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._transition(-((actions[..., 0] - self._target) ** 2), terminated=True)
