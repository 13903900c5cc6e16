"""What both kinds of vector environments take and return."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class TaskSetter(NamedTuple):
    """Sets an environment to a task; sent to the processes that hold the environments.

    Attributes:
        names: Names of the task's parameters.
        function: The user's `function(env, **parameters)`; None to set attributes of `env.unwrapped` instead.
        integers: Those of the names whose values are passed on as integers.
    """

    names: tuple[str, ...]
    function: Callable[..., Any] | None
    integers: tuple[str, ...] = ()

    def __call__(self, env: Any, values: Sequence[Any]) -> None:
        """Set `env` to the task of these `values`, in the order of `names`.

        For a vector environment of M environments each value is an array [M].
        """
        task = dict(zip(self.names, values, strict=True))
        for name in self.integers:
            task[name] = task[name].astype(int) if hasattr(task[name], "astype") else int(task[name])
        if self.function is not None:
            self.function(env, **task)
            return
        for name, value in task.items():
            setattr(env.unwrapped, name, value)


def seed_global_streams(seed: int) -> None:
    """Seed the streams of Python and NumPy that all share, for environments that draw from them.

    Called before a reset, which then is the same in whichever process and after whatever it happens.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


class Transition(NamedTuple):
    """One step of M environments."""

    observations: NDArray[np.float64]  # [M, O]
    rewards: NDArray[np.float64]  # [M]
    terminated: NDArray[np.bool_]  # [M] ended by the environment's own rules
    truncated: NDArray[np.bool_]  # [M] cut off, by a time limit for instance
