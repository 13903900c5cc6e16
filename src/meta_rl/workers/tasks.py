"""How a task reaches an environment."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class TaskSetter(NamedTuple):
    """Sets an environment to a task; sent to the processes that hold the environments.

    Attributes:
        names: Of the task's parameters.
        function: The user's `function(env, **parameters)`; without one, the parameters become attributes of
            `env.unwrapped`.
    """

    names: tuple[str, ...]
    function: Callable[..., Any] | None

    def __call__(self, env: Any, values: Sequence[Any]) -> None:
        """Set `env` to the task of these `values`, in the order of `names`.

        For a vector environment each value is an array with a number for each of its environments.
        """
        task = dict(zip(self.names, values, strict=True))
        if self.function is not None:
            self.function(env, **task)
            return
        for name, value in task.items():
            setattr(env.unwrapped, name, value)
