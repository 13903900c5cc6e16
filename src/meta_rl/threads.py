"""Threads and cores. OpenMP and MKL read their environment when torch is loaded: call `configure` before."""

import os


def configure(environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Let idle OpenMP threads sleep instead of spin, and products round alike; what the user has set stays.

    A spinning team of two slows down tenfold when another process keeps one of two cores busy: each barrier
    waits for a thread that is not running, while the spinning one burns the core that it would need.

    And let MKL's matrix products round alike wherever their operands lie in memory, which costs nothing that
    can be measured: the ranks of a distributed run hold in other places what one process would.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("GOMP_SPINCOUNT", "0")
    environment.setdefault("MKL_CBWR", "AUTO,STRICT")


def available_cores() -> int:
    """Cores that this process may use: its share, where several ranks run on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
