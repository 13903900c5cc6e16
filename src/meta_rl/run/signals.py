"""Signals before and after training: Ctrl-C and SIGTERM end the program, with everything cleaned up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def leave(number: int, _: Any) -> NoReturn:
    """A handler that ends the program, with its callers cleaning up."""
    raise SystemExit(128 + number)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise SystemExit, so that callers clean up; while training others take over."""
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def to_the_end() -> Iterator[None]:
    """SIGTERM is ignored, for the moment in which the records of a run are completed. Ctrl-C is not."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
