"""A user's simulators. Without torch, as another process imports them too."""

import os
import signal
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

LIMIT = 6  # steps


class Fuse(gym.Env):
    """Burns for `length` steps from a random start; pays the sum of the actions times the steps so far.

    Observes [length, start, steps, last action]. Refuses to go on after its end.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = Box(-np.inf, np.inf, (5,), np.float64)
    action_space = Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)
    length = 100.0
    closed = 0

    def __init__(self, truncates: bool = False, length: float = 100.0) -> None:
        self.truncates, self.length = truncates, length

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.start, self.steps, self.ended = self.np_random.random(), 0, False
        return self.observe(np.zeros(2)), {"start": self.start}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert not self.ended
        assert isinstance(self.action_space, Discrete) or self.action_space.contains(action)
        self.steps += 1
        self.ended = self.steps >= self.length
        terminated, truncated = self.ended and not self.truncates, self.ended and self.truncates
        return self.observe(action), float(action.sum() * self.steps), terminated, truncated, {}

    def observe(self, action: np.ndarray) -> np.ndarray:
        return np.array([self.length, self.start, self.steps, *action])

    def close(self) -> None:
        Fuse.closed += 1


class Nested(Fuse):
    """Observes and acts in another shape; one action has no bounds, one has only one."""

    observation_space = Dict(flag=Discrete(2), values=Box(-np.inf, np.inf, (2, 2)))
    action_space = Box(
        np.array([[-1.0, -np.inf], [0.0, 2.0]]), np.array([[3.0, np.inf], [np.inf, 4.0]]), dtype=np.float64
    )

    def observe(self, action: np.ndarray) -> Any:
        values = np.zeros((2, 2)) if action.ndim == 1 else action
        return {"flag": self.steps % 2, "values": values.astype(np.float32)}


class Broken(Fuse):
    """Takes its whole process along in its second step, or never comes back from there."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self.phase = phase

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.steps == 1 and self.phase == "exit":
            os._exit(3)
        if self.steps == 1 and self.phase == "hang":
            signal.pause()
        return super().step(action)


class Fragile(Fuse):
    """Raises an exception in the episode of a given seed: in its reset, or in its third step."""

    def __init__(self, seed: int, phase: str) -> None:
        super().__init__()
        self.seed, self.phase = seed, phase

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        self.fragile = seed == self.seed
        self.fail_in("reset")
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.steps == 2:
            self.fail_in("step")
        return super().step(action)

    def fail_in(self, phase: str) -> None:
        if self.fragile and self.phase == phase:
            raise OSError(f"100%s of {phase}\nburnt")

    def close(self) -> None:
        super().close()
        if getattr(self, "fragile", False):
            raise OSError("cannot be closed either")


class Button(Fuse):
    """Pays the number of the button that is pressed."""

    action_space = Discrete(3, start=1)  # type: ignore[assignment]

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        outcome = super().step(np.full(2, float(action)))
        return outcome[0], float(action), *outcome[2:]


class ManyButtons(Fuse):
    action_space = gym.spaces.MultiDiscrete([2, 3])  # type: ignore[assignment]


class Wordy(Fuse):
    observation_space = gym.spaces.Sequence(Discrete(3))  # type: ignore[assignment]


def fuses(num_envs: int, max_episode_steps: int, mode: str = "NextStep", silent: bool = False) -> VectorEnv:
    """A vector environment of fuses that resets in one of gymnasium's ways."""
    make = partial(_limited, max_episode_steps)
    envs = SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode(mode))
    if silent:
        del envs.metadata["autoreset_mode"]
    return envs


def _limited(steps: int) -> gym.Env:
    return TimeLimit(Fuse(), steps)


def set_length(env: gym.Env, length: float) -> None:
    env.unwrapped.length = round(length)


def set_short_length(env: gym.Env, length: float) -> None:
    assert length < 9, "too long"
    set_length(env, length)


def set_lengths(envs: VectorEnv, length: np.ndarray) -> None:
    envs.set_attr("length", length.round().tolist())


def set_weight(env: gym.Env, weight: float) -> None:
    """Not of a length."""


NO_FUNCTION = 3

gym.register("Fuse-v0", Fuse, max_episode_steps=LIMIT, vector_entry_point=fuses)
gym.register("Nested-v0", Nested, max_episode_steps=LIMIT)
gym.register("Broken-v0", Broken, max_episode_steps=LIMIT)
gym.register("Fragile-v0", Fragile, max_episode_steps=LIMIT)
gym.register("Endless-v0", Fuse)
gym.register("Button-v0", Button, max_episode_steps=LIMIT)
gym.register("ManyButtons-v0", ManyButtons, max_episode_steps=LIMIT)
gym.register("Wordy-v0", Wordy, max_episode_steps=LIMIT)
