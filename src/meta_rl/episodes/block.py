"""What one process steps: several environments as a single one."""

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.spaces.utils import flatten
from numpy.typing import NDArray

from meta_rl.episodes.tasks import TaskSetter


class Block(gym.Env[NDArray[np.float64], NDArray[np.float64]]):
    """Environments that one process steps in turn, shown to `gymnasium.vector` as a single environment.

    A row of the block's observation is one environment's [observation, reward, terminated, truncated]. An
    episode that has ended rests, at no cost, until the block is reset. The block itself never ends, so that
    gymnasium has nothing to reset on its own, whatever the `AutoresetMode`.

    Args:
        make: Makes one environment.
        set_task: Sets it to a task, before each of its resets.
        size: Environments in the block.
        observation_size: O, flattened.
        action_size: A, flattened.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env],
        set_task: TaskSetter,
        size: int,
        observation_size: int,
        action_size: int,
    ) -> None:
        self.observation_space = Box(-np.inf, np.inf, (size, observation_size + 3), np.float64)
        self.action_space = Box(-np.inf, np.inf, (size, action_size), np.float64)
        # Task and seed of each next episode, set through the vector environment; the last block may get
        # fewer than `size`, and then plays only these.
        self.starts: list[tuple[list[float], int]] = []
        self._make, self._set_task = make, set_task
        # Made at the first reset: gymnasium makes one more block here, only to see its spaces.
        self._envs: list[gym.Env] = []
        self._rows = np.zeros(self.observation_space.shape)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[NDArray[np.float64], dict[str, Any]]:
        while len(self._envs) < len(self.starts):
            self._envs.append(self._make())
        for i, (env, (task, env_seed)) in enumerate(zip(self._envs, self.starts, strict=True)):
            self._set_task(env, task)
            observation, _ = env.reset(seed=env_seed)
            self._write(i, env, observation, (0.0, False, False))
        return self._rows, {}

    def step(
        self, action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        for i, env in enumerate(self._envs):
            if self._rows[i, -2:].any():
                continue
            space = env.action_space
            observation, *outcome, _ = env.step(action[i].reshape(space.shape).astype(space.dtype))
            self._write(i, env, observation, outcome)
        return self._rows, 0.0, False, False, {}

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _write(self, i: int, env: gym.Env, observation: Any, outcome: Sequence[Any]) -> None:
        flat: Any = flatten(env.observation_space, observation)
        self._rows[i, :-3], self._rows[i, -3:] = flat, outcome


class _WorkerBlock(Block):
    """A block in a process of its own, which reports an exception as text, to be raised where the run is.

    Gymnasium would pass it on too, but uses the traceback as a %-format, and so fails at a % in its lines.
    """

    def reset(self, **kwargs: Any) -> tuple[NDArray[np.float64], dict[str, Any]]:
        try:
            return super().reset(**kwargs)
        except Exception:
            return self._rows, {"error": traceback.format_exc()}

    def step(
        self, action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        try:
            return super().step(action)
        except Exception:
            return self._rows, 0.0, False, False, {"error": traceback.format_exc()}


def make_block(owner: int, *args: Any) -> Block:
    """A block of the process `owner`, made there or in another one."""
    if os.getpid() == owner:
        return Block(*args)
    # Ctrl-C reaches every process of the terminal, but the run still needs its environments to finish an
    # iteration. And a forked process has the handlers of the run, which must not keep it alive.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return _WorkerBlock(*args)
