"""Threads and cores. OpenMP reads its environment once, when torch is loaded: `configure` comes before it."""

import os


def configure(environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Let idle OpenMP threads sleep instead of spin; what the user has set stays.

    A spinning team of two slows down tenfold when another process keeps one of two cores busy: each barrier
    waits for a thread that is not running, while the spinning one burns the core that it would need.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("GOMP_SPINCOUNT", "0")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
