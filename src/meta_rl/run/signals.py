"""Signals that ask a program to end: Ctrl-C, SIGTERM, and the hang-up of its terminal.

In a thread of another program none of them is heard, and a hang-up that is ignored stays so (nohup).
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

Handler = Callable[[int, Any], Any] | signal.Handlers


def heard() -> list[signal.Signals]:
    """Those that this program hears."""
    if threading.current_thread() is not threading.main_thread():
        return []
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] + [signal.SIGHUP] * (not ignored)


def leave(number: int, _: Any) -> NoReturn:
    """A handler that ends the program, with its callers cleaning up."""
    raise SystemExit(128 + number)


def install(handler: Handler) -> None:
    """Let `handler` take care of all that are heard."""
    for number in heard():
        signal.signal(number, handler)


@contextmanager
def handling(handler: Handler, *but: int) -> Iterator[None]:
    """Let `handler` take care of all that are heard, `but` for some, and then whatever did before."""
    before = {number: signal.signal(number, handler) for number in heard() if number not in but}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former or signal.SIG_DFL)  # None is a handler of another language
