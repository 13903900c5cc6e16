"""A task family whose robots somebody watches: what a video or a window is made from."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.envs.base import BatchedEnv, Wrapper
from meta_rl.randomness import TaskStreams


class Watched(Wrapper):
    """The wrapped environment, whose positions somebody gets after `reset` and after every `step`.

    Args:
        env: A task family with `positions()`.
        watch: Called with them, [N, K, nq], until all episodes have ended.
    """

    def __init__(self, env: BatchedEnv, watch: Callable[[NDArray[np.float64]], Any]) -> None:
        super().__init__(env)
        self.watch = watch

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        observations = self.env.reset(tasks, episodes, streams)
        self._running = True
        self.watch(self.positions())
        return observations

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outcome = self.env.step(actions)
        if self._running:
            self.watch(self.positions())
        self._running = not outcome[2].all()
        return outcome
