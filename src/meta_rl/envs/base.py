"""The interface of a task family: many episodes of many tasks, stepped as one batch."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from meta_rl.errors import Failure
from meta_rl.randomness import TaskStreams


class BatchedEnv(ABC):
    """A distribution over tasks, and the batched simulation of all of them.

    A task is a row of numbers; `task_space` bounds its columns and `task_parameters` names them, so that
    task files, results and figures speak of `goal_x` rather than of column 0.

    Attributes:
        observation_space: Box [O] of one environment.
        action_space: Box [A] in [-1, 1], where the environment clips and scales what the policy samples; or
            Discrete, for actions that are indices, [..., 1] of int64.
        horizon: Steps after which an episode is cut off.
        task_parameters: Names of a task's columns.
        task_space: Box [P] with the lowest and highest legal value of every column.
        task_defaults: Values of the columns that may be left out where a task is given by name.
        task_choices: For columns with discrete values, all of them.
        shareable: Whether a task's episodes are the same whatever other tasks are simulated beside it.
        failures: Episodes that the simulation itself found to have failed since `reset`.
    """

    observation_space: Box
    action_space: Box | Discrete
    horizon: int
    task_parameters: tuple[str, ...]
    task_space: Box
    task_defaults: Mapping[str, float] = MappingProxyType({})
    task_choices: Mapping[str, tuple[float, ...]] = MappingProxyType({})
    shareable: bool = True
    failures: Sequence[Failure] = ()

    @abstractmethod
    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw `n` tasks from the task distribution: [n, P]."""

    def clone(self) -> "BatchedEnv | None":
        """The same family with a state of its own, for episodes of other tasks on another thread.

        None where there is no such thing: all episodes are simulated on one thread then.
        """
        return None

    @abstractmethod
    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        """Start `episodes` episodes of each task of `tasks` [N, P]; return the observations [N, K, O].

        What is random in a task's episodes comes from that task's own stream (`TaskStreams.draw`).
        """

    @abstractmethod
    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Move every episode by one action: [N, K, A], perhaps outside [-1, 1], or [N, K, 1] of indices.

        Returns observations [N, K, O], rewards [N, K] and terminated [N, K] (bool). An episode that has
        terminated stays terminated, and its further observations and rewards are ignored. An episode with an
        observation or a reward that is not finite has failed, and is ignored from there on.
        """

    def published(self, tasks: Tensor, scores: bool = False) -> str | None:
        """The published task family that results on these tasks are comparable with; None for most.

        Args:
            tasks: [N, P].
            scores: Compare (return - random's) / (oracle's - random's) rather than returns.

        Returns:
            A value of the column `task` in evaluation/published_returns.csv.
        """
        return None

    def check_task_names(self, names: Iterable[str]) -> None:
        """Raise a ValueError for a name that is no column, and for a missing column without a default."""
        given, known = set(names), ", ".join(self.task_parameters)
        for name in sorted(given.difference(self.task_parameters)):
            raise ValueError(f"unknown column {name!r}; the tasks have {known}")
        for name in self.task_parameters:
            if name not in given and name not in self.task_defaults:
                raise ValueError(f"column {name} is missing; the tasks have {known}")

    def task_row(self, task: Mapping[str, Any] | Iterable[float]) -> list[float]:
        """A task given by the names of its columns, each a number or its text, or in order, as a row [P].

        Raises:
            ValueError: for a column that is unknown, missing, or no legal value, begins with its name; for
                anything else than P numbers.
        """
        names, by_name = self.task_parameters, task
        if not isinstance(by_name, Mapping):
            try:
                by_name = dict(zip(names, by_name, strict=True))
            except (TypeError, ValueError):
                size, known = len(names), ", ".join(names)
                raise ValueError(f"a task has {size} numbers, {known}, got {task}") from None
        by_name = cast(Mapping[str, Any], by_name)
        self.check_task_names(by_name)
        row = []
        bounds = zip(self.task_parameters, self.task_space.low, self.task_space.high, strict=True)
        for name, low, high in bounds:
            given = by_name.get(name, self.task_defaults.get(name))
            try:
                value = float(given)  # pyright: ignore[reportArgumentType]
            except (TypeError, ValueError):
                raise ValueError(f"{name}: {given!r} is not a number") from None
            if not low <= np.float32(value) <= high:  # as tasks and bounds are float32; NaN fails too
                raise ValueError(f"{name}: {given} is outside [{low:g}, {high:g}]")
            choices = self.task_choices.get(name)
            if choices is not None and np.float32(value) not in np.asarray(choices, np.float32):
                legal = ", ".join(f"{choice:g}" for choice in choices)
                raise ValueError(f"{name}: {given} is none of {legal}")
            row.append(value)
        return row
