"""Many single environments, stepped by this process or by several others."""

import contextlib
import math
import os
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from numpy.typing import NDArray

from meta_rl.workers.block import make_block
from meta_rl.workers.types import TaskSetter, Transition


class Blocks:
    """Episodes of M environments, in blocks: one in this process, or one in each of several others.

    Args:
        make: Makes one environment.
        set_task: Sets it to a task, before each of its resets.
        total: Number of environments, M.
        observation_size: Length of a flattened observation, O.
        action_size: Length of a flattened action, A.
        workers: Largest number of processes to start; 0 to step in this one.
        context: How `multiprocessing` starts them: spawn, forkserver or fork.

    Attributes:
        failures: Exceptions in the last `start` or `step`: environment index, one-line cause, traceback.

    Raises:
        RuntimeError: if a process has died; so do `start` and `step`.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env],
        set_task: TaskSetter,
        total: int,
        observation_size: int,
        action_size: int,
        workers: int = 0,
        context: str = "spawn",
    ) -> None:
        self._total, self._workers = total, workers
        self._size = math.ceil(total / max(workers, 1))
        blocks = math.ceil(total / self._size)
        factory = partial(make_block, os.getpid(), make, set_task, self._size, observation_size, action_size)
        factories = [factory] * blocks
        self._actions = np.zeros((blocks, self._size, action_size))
        self._waiting = False
        self._envs: Any = None
        self.failures: list[tuple[int, str, str]] = []
        make_vector = partial(AsyncVectorEnv, context=context) if workers else SyncVectorEnv
        self._envs = self._ask(make_vector, factories)

    def start(self, tasks: NDArray[np.float64], seeds: list[int]) -> NDArray[np.float64]:
        """Begin an episode of each task [M, P]; the observations [M, O]."""
        starts = list(zip(tasks.tolist(), seeds, strict=True))
        shares = [starts[i : i + self._size] for i in range(0, self._total, self._size)]
        self._ask(self._envs.set_attr, "starts", shares)
        return self._play(self._envs.reset)[:, :-3]

    def step(self, actions: NDArray[np.float64]) -> Transition:
        """Move every episode by one action [M, A] of its environment; those that have ended rest."""
        self._flat(self._actions)[:] = actions
        rows = self._play(self._envs.step, self._actions)
        return Transition(rows[:, :-3], rows[:, -3], rows[:, -2] > 0, rows[:, -1] > 0)

    def close(self) -> None:
        """Close the environments and end their processes."""
        processes = getattr(self._envs, "processes", ())
        if not (self._waiting and processes):
            with contextlib.suppress(EOFError, OSError):  # of a process that died since the last step
                self._envs.close()
                return
        # One that was interrupted while it waited for answers would wait for some of them in vain.
        for process in processes:
            process.kill()
            process.join()
        self._envs.closed = True

    def _flat(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """A view of [blocks, size, ...] as [M, ...], without the unused rows of the last block."""
        return blocks.reshape(-1, blocks.shape[-1])[: self._total]

    def _play(self, call: Callable[..., Any], *args: Any) -> NDArray[np.float64]:
        """The blocks' rows [M, O + 3] after a reset or a step."""
        blocks, *_, infos = self._ask(call, *args)
        self.failures = [
            (block * self._size + i, *why)
            for block, failures in enumerate(infos.get("failures", ()))
            for i, *why in failures or ()
        ]
        return self._flat(blocks)

    def _ask(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the vector environment.

        Raises:
            RuntimeError: if a process is dead.
        """
        self._waiting = True
        try:
            answer = call(*args)
        except (EOFError, ConnectionError) as error:
            processes = getattr(self._envs, "processes", ())
            # Its pipes close before it ends: to the environments first, then the one that tells of its end.
            ended = wait([process.sentinel for process in processes], timeout=5)
            for process in processes:
                if process.sentinel in ended:
                    process.join(timeout=5)
            codes = [process.exitcode for process in processes if process.exitcode is not None]
            raise RuntimeError(f"a process that steps environments died, exit code {codes}") from error
        self._waiting = False
        return answer
