"""A task family around another one."""

from typing import Any

from meta_rl.envs.base import BatchedEnv


class Wrapper:
    """Behaves as the task family `env` in all that a subclass does not override.

    It is registered as a `BatchedEnv` rather than derived from it, so that it inherits no default that would
    hide an attribute of `env`.

    Args:
        env: The task family to wrap; it may be a wrapper itself.
    """

    def __init__(self, env: BatchedEnv) -> None:
        self.env = env

    def clone(self) -> BatchedEnv | None:
        return None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle ask for these before there is an `env`
            raise AttributeError(name)
        return getattr(self.env, name)


BatchedEnv.register(Wrapper)


def unwrapped(env: BatchedEnv) -> BatchedEnv:
    """The task family inside of all wrappers."""
    while isinstance(env, Wrapper):
        env = env.env
    return env
