"""A task family that hands its robots' positions to a recorder: what videos and windows are made from."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.wrapper import Wrapper
from meta_rl.randomness import TaskStreams


class Recorded(Wrapper):
    """Hands the positions of all robots to `record`, after `reset` and after every `step`.

    Args:
        env: A task family with `positions()`, such as `MujocoEnv`.
        record: Called with generalised positions [N, K, nq] until every episode has terminated.
    """

    def __init__(self, env: BatchedEnv, record: Callable[[NDArray[np.float64]], Any]) -> None:
        super().__init__(env)
        self.record = record

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        observations = self.env.reset(tasks, episodes, streams)
        self._running = True
        self.record(self.positions())
        return observations

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outcome = self.env.step(actions)
        if self._running:
            self.record(self.positions())
        self._running = not outcome[2].all()
        return outcome
