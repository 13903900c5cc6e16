"""A vector environment of the user's own, one episode at a time, whatever it does after an episode's end."""

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from meta_rl.workers.types import TaskSetter, Transition, seed_global_streams


class VectorEpisodes:
    """Episodes of the M environments of a `VectorEnv` that steps all of them together.

    It cannot leave out an episode that has ended: that environment goes on, and its results are ignored.

    Args:
        envs: The vector environment, with observations and actions [M, ...] and an `AutoresetMode` in
            `metadata["autoreset_mode"]`.
        set_task: Called with `envs` and the columns of the tasks [M, P], before each reset.
    """

    failures = ()  # an exception here is not one environment's

    def __init__(self, envs: VectorEnv, set_task: TaskSetter) -> None:
        self._envs, self._set_task = envs, set_task
        self._mode = AutoresetMode(envs.metadata["autoreset_mode"])

    def start(self, tasks: NDArray[np.float64], seeds: list[int]) -> NDArray[np.float64]:
        """Begin an episode of each task [M, P]; the observations [M, O]. All share the first seed."""
        seed_global_streams(seeds[0])
        self._set_task(self._envs, list(tasks.T.copy()))
        self._just_ended = np.zeros(len(tasks), dtype=np.bool_)
        observations, _ = self._envs.reset(seed=seeds[0])
        return np.array(observations, dtype=np.float64).reshape(len(tasks), -1)

    def step(self, actions: NDArray[np.float64]) -> Transition:
        """Move every episode by one action [M, A] of its environment."""
        if self._mode is AutoresetMode.DISABLED and self._just_ended.any():
            # Some vector environments refuse to step before whatever has ended is reset.
            self._envs.reset(options={"reset_mask": self._just_ended})
        space = self._envs.action_space
        batch = actions.reshape(space.shape or ()).astype(space.dtype)
        observations, rewards, *ends, infos = self._envs.step(batch)
        terminated, truncated = (np.asarray(end, dtype=np.bool_) for end in ends)
        rows = np.array(observations, dtype=np.float64).reshape(len(actions), -1)
        self._just_ended = terminated | truncated
        if self._mode is AutoresetMode.SAME_STEP:
            # What is returned as the observation is already the first one of the next episode.
            for i in np.flatnonzero(self._just_ended):
                rows[i] = np.asarray(infos["final_obs"][i]).reshape(-1)
        return Transition(rows, np.asarray(rewards, dtype=np.float64), terminated, truncated)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()
