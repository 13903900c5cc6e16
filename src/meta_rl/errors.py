"""The failures that a user sees as one line instead of a traceback."""

import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple


class UserError(Exception):
    """Wrong input. The message is one line that names the key or file and says what to do (exit code 2)."""


class NonFiniteError(RuntimeError):
    """A loss, gradient or return is not finite, so training must not go on (exit code 1).

    Args:
        message: What is not finite, in one line.
        dump: Tensors and plain values that show it; saved next to the checkpoints for inspection.
    """

    def __init__(self, message: str, dump: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.dump = dict(dump or {})


class EpisodeError(NonFiniteError):
    """Episodes failed in their environment, and the run is to stop for it. The policy may be sound."""


class Failure(NamedTuple):
    """Why an episode cannot go on. Task, episode and step count from 0, as in the tensors of its batch."""

    task: int
    episode: int
    step: int
    cause: str  # one line
    traceback: str = ""  # where there is one

    def named(self, first: int) -> str:
        """One line, for a batch whose first task has this index among all tasks of the iteration."""
        return f"task {first + self.task}, episode {self.episode}, step {self.step}: {self.cause}"


def raised_in(error: BaseException) -> str:
    """The module whose code raised the error, by its dotted name."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__"))


def one_line(message: object) -> str:
    """`message` with every run of white space collapsed."""
    return " ".join(str(message).split())
