"""Task families as Gymnasium environments: one episode of one task at a time."""

import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from meta_rl.envs.base import BatchedEnv
from meta_rl.envs.mujoco_env import MujocoEnv
from meta_rl.randomness import TaskStreams, generator
from meta_rl.show import opengl
from meta_rl.show.rendering import Drawing
from meta_rl.show.viewer import Viewer

Array = NDArray[np.float32]


class TaskEnv(gym.Env[np.ndarray, Any]):
    """A view of a task family. Every `reset` draws a task, unless `options` has one.

    `reset(options={"task": [1.0]})` or `{"task": {"direction": 1.0}}` sets it; `info["task"]` holds it, by
    the names of its parameters. With the same seed, the same noise meets any task.

    Args:
        family: The task family's class, or the dotted path to it.
        render_mode: None, or for robots `rgb_array` or `human`.
        **kwargs: Arguments of the family's constructor.

    Raises:
        ValueError: for a mode or an argument that the family does not have.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own type)

    def __init__(
        self, family: str | Callable[..., BatchedEnv], render_mode: str | None = None, **kwargs: Any
    ) -> None:
        make = pkgutil.resolve_name(family) if isinstance(family, str) else family
        # A name may come with a checkpoint from elsewhere: it shall call nothing but a task family.
        if isinstance(family, str) and not (isinstance(make, type) and issubclass(make, BatchedEnv)):
            raise ValueError(f"family {family} is no task family")
        if render_mode not in (None, *self.metadata["render_modes"]):
            modes = " or ".join(self.metadata["render_modes"]) or "none, it cannot be drawn"
            raise ValueError(f"render_mode {render_mode!r} is unknown; {make.__name__} has {modes}")
        self.render_mode = render_mode
        self.family: BatchedEnv = make(**kwargs)
        self.observation_space = self.family.observation_space
        self.action_space: Any = self.family.action_space
        self._running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        # Two streams, so that a given task leaves the episode's noise as it is.
        drawing, episode = map(int, self.np_random.integers(2**63, size=2))
        given = task_in(options or {}, self.family)
        self._task = (
            self.family.sample_tasks(1, generator(drawing)) if given is None else torch.tensor([given])
        )
        self._steps, self._running = 0, True
        self._observation = self.family.reset(self._task, 1, TaskStreams(episode))[0, 0].numpy()
        return self._observation.copy(), self._info()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        if not self._running:
            raise ResetNeeded("the episode has ended, or not begun; call reset")
        action = np.asarray(action, self.action_space.dtype)
        if action.shape != self.action_space.shape:
            raise ValueError(f"action must have shape {self.action_space.shape}, got {action.shape}")
        if isinstance(self.action_space, Discrete) and not self.action_space.contains(action):
            raise ValueError(f"action must be from 0 to {self.action_space.n - 1}, got {action}")
        observations, rewards, ended = self.family.step(torch.from_numpy(action.reshape(1, 1, -1)))
        self._steps += 1
        terminated = bool(ended[0, 0])
        truncated = not terminated and self._steps >= self.family.horizon
        self._running = not (terminated or truncated)
        if not self.family.failures:  # what a simulation that has failed shows is of no use
            self._observation = observations[0, 0].numpy()
        return self._observation.copy(), float(rewards[0, 0]), terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {"task": dict(zip(self.family.task_parameters, self._task[0].tolist(), strict=True))}


class MujocoTaskEnv(TaskEnv):
    """A view of a robot: `rgb_array` draws it without a screen, `human` opens MuJoCo's viewer.

    Where tasks change the robot's body (`AntBody`, `Walker2dBody`), it is drawn unchanged.
    """

    metadata = {"render_modes": ["rgb_array", "human"]}  # noqa: RUF012
    family: MujocoEnv

    def __init__(
        self, family: str | Callable[..., MujocoEnv], render_mode: str | None = None, **kwargs: Any
    ) -> None:
        if render_mode == "human" and not opengl.can_open_windows():
            raise ValueError("render_mode 'human' needs a display; use 'rgb_array'")
        super().__init__(family, render_mode, **kwargs)
        modes = ["rgb_array"] + ["human"] * opengl.has_screen()
        self.metadata = {"render_modes": modes, "render_fps": round(1 / self.family.dt)}
        self._drawing: Drawing | None = None
        self._viewer: Viewer | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        beginning = super().reset(seed=seed, options=options)
        self._show()
        return beginning

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        outcome = super().step(action)
        self._show()
        return outcome

    def render(self) -> NDArray[np.uint8] | None:
        """An RGB picture [360, 480, 3] in mode `rgb_array`, else None: `human` shows every step."""
        if self.render_mode != "rgb_array":
            return None
        self._drawing = self._drawing or Drawing(self.family.model, 480, 360)
        return self._drawing.draw(self.family.positions()[0, 0])

    def close(self) -> None:
        for resource in (self._drawing, self._viewer):
            if resource is not None:
                resource.close()
        self._drawing = self._viewer = None

    def _show(self) -> None:
        if self.render_mode == "human":
            self._viewer = self._viewer or Viewer(self.family.model, self.family.dt)
            self._viewer.show(self.family.positions()[0, 0])


def task_in(options: Mapping[str, Any], env: BatchedEnv) -> list[float] | None:
    """The task in `options["task"]`, numbers in order or by name, as a row [P]; None without one.

    Raises:
        ValueError: for another key than "task", and for anything that is no task of the family.
    """
    for key in options:
        if key != "task":
            raise ValueError(f"options: {key!r} is unknown; there is only 'task'")
    if "task" not in options:
        return None
    try:
        return env.task_row(options["task"])
    except ValueError as error:
        raise ValueError(f"options: {error}") from None
