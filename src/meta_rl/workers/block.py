"""What one process steps: several environments as a single one."""

import os
import signal
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.spaces.utils import flatten
from numpy.typing import NDArray

from meta_rl.errors import one_line
from meta_rl.workers.types import TaskSetter, seed_global_streams


class Block(gym.Env[NDArray[np.float64], NDArray[np.float64]]):
    """Environments that one process steps in turn, shown to `gymnasium.vector` as a single environment.

    A row of the block's observation is one environment's [observation, reward, terminated, truncated]. An
    episode that has ended rests, at no cost, until the block is reset. The block itself never ends, so that
    gymnasium has nothing to reset on its own, whatever the `AutoresetMode`.

    An exception of the user's code ends the episode of that environment alone: its row is NaN, and `info`
    tells of it under "failures", as text, since an exception need not survive the way from another process.
    Another environment takes its place at the next reset.

    Args:
        make: Makes one environment.
        set_task: Sets it to a task, before each of its resets.
        size: Number of environments in the block.
        observation_size: Length of a flattened observation, O.
        action_size: Length of a flattened action, A.
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
        self._envs: list[gym.Env | None] = []
        self._rows = np.zeros(self.observation_space.shape)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[NDArray[np.float64], dict[str, Any]]:
        self._envs += [None] * (len(self.starts) - len(self._envs))
        return self._rows, self._try(self._start, range(len(self.starts)))

    def step(
        self, action: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        running = np.flatnonzero(~self._rows[: len(self._envs), -2:].any(1)).tolist()
        return self._rows, 0.0, False, False, self._try(partial(self._move, action), running)

    def close(self) -> None:
        for env in self._envs:
            if env is not None:
                env.close()

    def _try(self, play: Callable[[int], None], rows: Iterable[int]) -> dict[str, Any]:
        """Call `play` for each of these environments; `info`, with the failures among them."""
        failures = []
        for i in rows:
            try:
                play(i)
            except Exception as error:
                failures.append((i, _in_one_line(error), traceback.format_exc()))
                self._rows[i] = np.nan
                self._rows[i, -2:] = True, False  # it rests
                self._discard(i)
        return {"failures": failures} if failures else {}

    def _start(self, i: int) -> None:
        env = self._envs[i] = self._envs[i] or self._make()
        task, seed = self.starts[i]
        seed_global_streams(seed)
        self._set_task(env, task)
        observation, _ = env.reset(seed=seed)
        self._write(i, env, observation, (0.0, False, False))

    def _move(self, actions: NDArray[np.float64], i: int) -> None:
        env = self._envs[i]
        assert env is not None
        space = env.action_space
        action = actions[i].reshape(space.shape).astype(space.dtype)[()]  # a discrete one as a number
        observation, *outcome, _ = env.step(action)
        self._write(i, env, observation, outcome)

    def _discard(self, i: int) -> None:
        env, self._envs[i] = self._envs[i], None
        if env is not None:
            with suppress(Exception):  # after one that has been told already
                env.close()

    def _write(self, i: int, env: gym.Env, observation: Any, outcome: Sequence[Any]) -> None:
        flat: Any = flatten(env.observation_space, observation)
        self._rows[i, :-3], self._rows[i, -3:] = flat, outcome


def _in_one_line(error: Exception) -> str:
    """An exception's type and message, and where it was raised."""
    message = one_line("".join(traceback.format_exception_only(error)))
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{message} in {where.name} ({where.filename}:{where.lineno})"


def make_block(owner: int, *args: Any) -> Block:
    """A block of the process `owner`, made there or in another one."""
    if os.getpid() != owner:
        # Ctrl-C reaches every process of the terminal, but the run still needs its environments to finish
        # an iteration. And a forked process has the handlers of the run, which must not keep it alive.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return Block(*args)
