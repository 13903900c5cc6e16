"""Any Gymnasium environment with continuous or discrete actions as a task family."""

import math
import pkgutil
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from torch import Tensor

from meta_rl.envs.arrays import to_array, to_simulator, to_tensors
from meta_rl.envs.base import BatchedEnv
from meta_rl.errors import Failure, one_line
from meta_rl.randomness import TaskStreams
from meta_rl.threads import available_cores
from meta_rl.workers import Blocks, TaskSetter, VectorEpisodes, describe

SEEDS = 2**31  # simulators in C take their seed as an int


class GymnasiumEnv(BatchedEnv):
    """An environment that is registered with Gymnasium; a task is a choice of some of its parameters.

    Every episode is set to its task, then reset with a seed of its own, so that it is the same in whichever
    process it runs. Observations are flattened. A continuous action's component in [-1, 1] is scaled to its
    bounds, and passed on as it is where they are infinite. `horizon` replaces the environment's time
    limit; an environment that truncates an episode earlier, by rules of its own, ends it.

    Args:
        id: The name for `gymnasium.make`; `module:Name-v0` imports `module`, which registers the environment.
        task_parameters: Lowest and highest value of each parameter; tasks are drawn uniformly in between.
        task_setter: Function `setter(env, **parameters)`, or the dotted path to it, called before each
            reset; without one the parameters become attributes of `env.unwrapped`.
        horizon: Steps per episode; by default the time limit that the environment is registered with.
        vectorization: `sync` steps one environment after the other, `async` does so in several processes,
            and `vector_entry_point` takes the vector environment that is registered under `id`; the setter
            then gets that one, and parameters as arrays with a value for each of its environments.
        num_workers: Number of processes for `async`; 0 for one per core that this process may use.
        context: How `multiprocessing` starts them. Forked ones may hang, since torch and W&B have threads.
        env_kwargs: Further arguments of the environment's constructor.
        integers: Those of the parameters that are whole numbers; the environment gets them as int.

    Raises:
        ValueError: for an environment that cannot be made or whose actions are of another kind, and for
            parameters, a setter or a horizon that it cannot have.
    """

    def __init__(
        self,
        id: str,
        task_parameters: dict[str, tuple[float, float]],
        task_setter: str | Callable[..., Any] | None = None,
        horizon: int | None = None,
        vectorization: Literal["sync", "async", "vector_entry_point"] = "sync",
        num_workers: int = 0,
        context: Literal["spawn", "forkserver", "fork"] = "spawn",
        env_kwargs: dict[str, Any] | None = None,
        integers: Sequence[str] = (),
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"num_workers must not be negative, got {num_workers}")
        if env_kwargs and "max_episode_steps" in env_kwargs:
            raise ValueError("env_kwargs must not set max_episode_steps; set horizon")
        self.vectorization, self.num_workers, self.context = vectorization, num_workers, context
        self.env_kwargs = env_kwargs or {}
        self.task_parameters = tuple(task_parameters)
        self.task_space = _task_space(task_parameters)
        self.task_choices = _choices(task_parameters, integers)
        function = _function(task_setter, self.task_parameters)
        self._set_task = TaskSetter(self.task_parameters, function, tuple(integers))
        attributes = () if task_setter else self.task_parameters
        native = vectorization == "vector_entry_point"
        self._spec, size, actions = describe(id, native, self.env_kwargs, attributes)
        self.horizon = _horizon(horizon, self._spec)
        self.shareable = not native  # all of its environments have one seed
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space, self._to_simulator = to_simulator(actions)
        self._action_size = math.prod(self.action_space.shape or ())  # 1 for an index
        self._total = 0  # environments that are open
        self._finalizer: weakref.finalize | None = None

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        low, high = (torch.from_numpy(bound) for bound in (self.task_space.low, self.task_space.high))
        share = torch.rand(n, len(low), generator=generator)
        tasks = low + (high - low) * share
        for column, name in enumerate(self.task_parameters):
            if name in self.task_choices:
                tasks[:, column] = (low + ((high - low + 1) * share).floor())[:, column]
        return tasks

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        total = len(tasks) * episodes
        draws = streams.draw(len(tasks), lambda g: torch.randint(SEEDS, (episodes,), generator=g))
        if total != self._total:
            self.close()
            self._episodes = self._open(total)
            self._total = total
            self._finalizer = weakref.finalize(self, self._episodes.close)  # at exit at the latest
        self._like, self._t = tasks, 0
        self.failures: list[Failure] = []
        self._ended = np.zeros((len(tasks), episodes), dtype=np.bool_)
        rows = to_array(tasks.repeat_interleave(episodes, 0))
        observations = self._episodes.start(rows, draws.flatten().tolist())
        self._note_failures()
        return to_tensors([self._by_task(observations)], self._like)[0]

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outcome = self._episodes.step(self._to_simulator(to_array(actions.flatten(0, 1))))
        self._note_failures()
        self._t += 1
        # At the horizon the sampler cuts episodes off; the environment's own limit says the same again.
        ended = outcome.terminated | (outcome.truncated & (self._t < self.horizon))
        self._ended |= ended.reshape(self._ended.shape)
        returned = [self._by_task(outcome.observations), self._by_task(outcome.rewards), self._ended]
        observations, rewards, terminated = to_tensors(returned, self._like)
        return observations, rewards, terminated

    def close(self) -> None:
        """Close the environments and end their processes; a later `reset` opens new ones."""
        if self._finalizer is not None:
            self._finalizer()
        self._total = 0

    def _open(self, total: int) -> Blocks | VectorEpisodes:
        """`total` environments for episodes up to the horizon."""
        if self.vectorization == "vector_entry_point":
            # Only one that is registered with a time limit has to take another.
            limit = {} if self._spec.max_episode_steps is None else {"max_episode_steps": self.horizon}
            envs = gym.make_vec(self._spec, total, "vector_entry_point", **limit, **self.env_kwargs)
            return VectorEpisodes(envs, self._set_task)
        make = partial(gym.make, self._spec, max_episode_steps=self.horizon, **self.env_kwargs)
        workers = (self.num_workers or available_cores()) if self.vectorization == "async" else 0
        sizes = self.observation_space.shape[0], self._action_size
        return Blocks(make, self._set_task, total, *sizes, workers, self.context)

    def _note_failures(self) -> None:
        """Append those of the last start or step to `failures`."""
        episodes = self._ended.shape[1]
        for row, *why in self._episodes.failures:
            self.failures.append(Failure(*divmod(row, episodes), self._t, *why))

    def _by_task(self, rows: np.ndarray) -> np.ndarray:
        """An array [M, ...] as [N, K, ...]."""
        return rows.reshape(*self._ended.shape, *rows.shape[1:])


def _task_space(parameters: dict[str, tuple[float, float]]) -> Box:
    """The ranges of the parameters, in their order."""
    if not parameters:
        raise ValueError("task_parameters must give a range, such as {g: [5, 15]}, to one parameter or more")
    for name, (low, high) in parameters.items():
        if not -math.inf < low <= high < math.inf:
            raise ValueError(f"task_parameters {name}: must be lowest, highest value, got {low}, {high}")
    bounds = np.array(list(parameters.values()), dtype=np.float32)
    return Box(bounds[:, 0], bounds[:, 1], dtype=np.float32)


def _choices(
    parameters: dict[str, tuple[float, float]], integers: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """The values of those parameters that are whole numbers."""
    for name in integers:
        if name not in parameters or any(bound != int(bound) for bound in parameters[name]):
            raise ValueError(
                f"integers {name}: must be one of task_parameters with whole numbers as its range"
            )
    return {name: tuple(range(int(parameters[name][0]), int(parameters[name][1]) + 1)) for name in integers}


def _function(setter: str | Callable[..., Any] | None, parameters: tuple[str, ...]) -> Callable | None:
    """The setter as a function; it must accept an environment, and every parameter by name."""
    if setter is None:
        return None
    try:
        function = pkgutil.resolve_name(setter) if isinstance(setter, str) else setter
        signature(function).bind(None, **dict.fromkeys(parameters))
    except (AttributeError, ImportError, TypeError, ValueError) as error:
        arguments = ", ".join(("env", *parameters))
        raise ValueError(
            f"task_setter {setter}: {one_line(error)}; name a function of ({arguments})"
        ) from error
    return function


def _horizon(horizon: int | None, spec: EnvSpec) -> int:
    """The given horizon, or else the time limit that the environment is registered with."""
    steps = horizon if horizon is not None else spec.max_episode_steps
    if steps is None:
        raise ValueError(f"horizon is needed, since {spec.id} is registered without a time limit")
    if steps < 1:
        raise ValueError(f"horizon must be at least 1 step, got {steps}")
    return steps
