"""Random streams that depend on what they are for, not on what ran before.

Every draw comes from a generator seeded by (seed, meta-iteration, phase), and for what happens in a task's
episodes by the task's index besides. So a resumed run repeats the very numbers, whatever was drawn before it
stopped, and a process that simulates a few of the tasks draws for them what one that simulates all would.
"""

from collections.abc import Callable
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Phase(IntEnum):
    """What a stream is for. Episodes of inner step j have the phase SUPPORT + j.

    Training never draws from the phases of evaluation, so that evaluated tasks are unseen ones.
    """

    INIT = 0
    TASKS = 1
    QUERY = 2
    EVALUATION_TASKS = 3
    EVALUATION_EPISODES = 4
    EVALUATION_SHOWN = 5  # in videos and windows
    PERTURBATIONS = 6  # of the meta-parameters
    SUPPORT = 16


def generator(seed: int, *purpose: int) -> torch.Generator:
    """A CPU generator for this purpose (the CPU's, so that every device sees the same numbers)."""
    state = np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) & (2**63 - 1))


class TaskStreams:
    """A stream for each of a batch's tasks; repeated draws go on where the last one ended.

    Args:
        seed: The run's seed.
        iteration: Number of the meta-iteration, from 0.
        phase: What the episodes are for, a `Phase` plus the inner step.
        first: Index of the batch's first task among all tasks of the iteration.
        alike: So many tasks, one after the other, draw the same numbers (common random numbers).
    """

    def __init__(self, seed: int, iteration: int = 0, phase: int = 0, first: int = 0, alike: int = 1) -> None:
        self.purpose = seed, iteration, phase
        self.first, self.alike = first, alike
        self._generators: list[torch.Generator] = []

    def part(self, tasks: slice) -> "TaskStreams":
        """The streams of some of the tasks. They are the same streams: draws from either go on in both."""
        self._prepare(tasks.stop)
        part = TaskStreams(*self.purpose, self.first + tasks.start, self.alike)
        part._generators = self._generators[tasks]
        return part

    def draw(self, tasks: int, sample: Callable[[torch.Generator], Tensor]) -> Tensor:
        """What `sample` draws for each of `tasks` tasks from the task's own generator: [tasks, ...].

        >>> TaskStreams(seed=1).draw(3, lambda g: torch.rand(5, 2, generator=g)).shape
        torch.Size([3, 5, 2])
        """
        self._prepare(tasks)
        return torch.stack([sample(g) for g in self._generators[:tasks]])

    def _prepare(self, tasks: int) -> None:
        for index in range(len(self._generators), tasks):
            self._generators.append(generator(*self.purpose, (self.first + index) // self.alike))
