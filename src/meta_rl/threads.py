"""Threads: how many compute, how work is shared out among them, and what must be set before torch is loaded.

Work comes in units, chunks of tasks, that do not depend on the number of threads. A unit runs on one thread
from beginning to end, and torch's own threads are off. So there is no barrier to wait at, and the same seed
gives the same bits on any number of threads.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# glibc's options of mallopt (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
KEPT = 2**30  # bytes: blocks below this come from the heap, and that much of it is kept when it is free


class _Workers:
    """The pool, made when it is first needed."""

    number: int | None = None
    pool: ThreadPoolExecutor | None = None
    inside = threading.local()  # `worker` is set in the pool's threads


def configure(environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Set what torch, its libraries and the C library read at their start; what the user has set stays.

    Idle OpenMP threads of other libraries sleep instead of spin. MKL's matrix products round alike wherever
    their operands lie in memory, which costs nothing that can be measured. And freed memory is kept: glibc
    returns every large block to the kernel, which has to clear its pages again at the next use.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("GOMP_SPINCOUNT", "0")
    environment.setdefault("MKL_CBWR", "AUTO,STRICT")
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_ARENA_MAX, 1)  # the arenas of threads are too small for large blocks
        mallopt(M_MMAP_THRESHOLD, KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_TOP_PAD, 2**26)


def available_cores() -> int:
    """Cores that this process may use: its share, where several ranks run on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def number() -> int:
    """Threads that compute: what `use` was given, else OMP_NUM_THREADS, else one a core."""
    if _Workers.number is None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        use(int(given) if given.isdigit() and int(given) > 0 else available_cores())
    assert _Workers.number is not None
    return _Workers.number


def use(threads: int) -> None:
    """Compute with so many threads from now on."""
    import torch

    torch.set_num_threads(1)
    _forget()
    _Workers.number = threads


def each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`[function(item) for item in items]`, shared out among the threads.

    The functions see the caller's grad mode, which torch keeps for each thread. They may not depend on one
    another.
    The first exception, in the order of the items, is raised once all have ended.
    """
    import torch

    workers = min(number(), len(items))
    if workers < 2 or getattr(_Workers.inside, "worker", False):
        return [function(item) for item in items]
    grad = torch.is_grad_enabled()

    def run(item: T) -> R:
        with torch.set_grad_enabled(grad):
            return function(item)

    _Workers.pool = _Workers.pool or ThreadPoolExecutor(number(), "meta_rl", _begin)
    futures = [_Workers.pool.submit(run, item) for item in items]
    for future in futures:
        future.exception()  # waits
    return [future.result() for future in futures]


def _begin() -> None:
    import torch

    torch.set_num_threads(1)  # holds for this thread alone
    _Workers.inside.worker = True


def _forget() -> None:
    """Leave the pool; a forked process has its object, but not its threads."""
    if _Workers.pool is not None:
        _Workers.pool.shutdown(wait=False)
    _Workers.pool = None


def _forked() -> None:
    _Workers.pool = None


os.register_at_fork(after_in_child=_forked)
