"""Threads, decided before torch is imported: OpenMP reads its environment once, when it is loaded."""

import os


def configure(environment: dict[str, str] | os._Environ[str] = os.environ) -> None:
    """Let idle OpenMP threads sleep instead of spin; what the user has set stays.

    A spinning team of two slows down tenfold when another process keeps one of two cores busy: each barrier
    waits for a thread that is not running, while the spinning one burns the core that it would need.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("GOMP_SPINCOUNT", "0")
