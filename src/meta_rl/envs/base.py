"""The interface of a task family: many episodes of many tasks, stepped as one batch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from meta_rl.errors import Failure
from meta_rl.randomness import TaskStreams


class BatchedEnv(ABC):
    """A distribution over tasks, and the batched simulation of all of them.

    A task is a row of numbers; `task_space` bounds its columns and `task_parameters` names them, so that
    task files, results and figures speak of `goal_x` rather than of column 0.

    Attributes:
        observation_space: Box [O] of one environment.
        action_space: Box [A] in [-1, 1]; the environment clips and scales what the policy samples.
        horizon: Steps after which an episode is cut off.
        task_parameters: Names of a task's columns.
        task_space: Box [P] with the lowest and highest legal value of every column.
        task_defaults: Values of the columns that a task file may leave out.
        task_choices: The only legal values of columns that have no others.
        threaded: Whether `step` runs on threads of its own.
        shareable: Whether a task's episodes are the same whatever other tasks are simulated beside it.
        failures: Of single episodes since `reset`, where the simulation itself knows of them.
    """

    observation_space: Box
    action_space: Box
    horizon: int
    task_parameters: tuple[str, ...]
    task_space: Box
    task_defaults: Mapping[str, float] = MappingProxyType({})
    task_choices: Mapping[str, tuple[float, ...]] = MappingProxyType({})
    threaded: bool = False
    shareable: bool = True
    failures: Sequence[Failure] = ()

    @abstractmethod
    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw `n` tasks from the task distribution: [n, P]."""

    @abstractmethod
    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        """Start `episodes` episodes of each task of `tasks` [N, P]; return the observations [N, K, O].

        What is random in a task's episodes comes from that task's own stream (`TaskStreams.draw`).
        """

    @abstractmethod
    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Move every episode by one action [N, K, A], which may lie outside [-1, 1].

        Returns observations [N, K, O], rewards [N, K] and terminated [N, K] (bool). An episode that has
        terminated stays so; what the others of its numbers say is ignored. So is all of an episode after an
        observation or a reward of it that is not finite: it has failed.
        """


class Wrapper:
    """Another task family, but for what a subclass changes.

    It is registered as a `BatchedEnv` rather than derived from it, so that it inherits no default that would
    hide an attribute of the wrapped one.

    Args:
        env: The task family.
    """

    def __init__(self, env: BatchedEnv) -> None:
        self.env = env

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle ask for these before there is an `env`
            raise AttributeError(name)
        return getattr(self.env, name)


BatchedEnv.register(Wrapper)


def unwrapped(env: BatchedEnv) -> BatchedEnv:
    """The task family inside of all wrappers."""
    while isinstance(env, Wrapper):
        env = env.env
    return env


def to_device(x: NDArray[Any], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`x` as a tensor on the device of `like`. A GPU need not have finished anything before this returns.

    Args:
        x: Nobody may change it later.
        like: On the device.
        dtype: Of the tensor; by default that of `x`.
    """
    tensor = torch.from_numpy(x)
    tensor = tensor if dtype is None else tensor.to(dtype)
    if not like.is_cuda:
        return tensor.to(like.device)
    # Only from pinned memory does a copy run on its own; torch keeps the memory until it has.
    return tensor.pin_memory().to(like.device, non_blocking=True)
