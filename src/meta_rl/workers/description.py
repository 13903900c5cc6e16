"""Specification and spaces of an environment, read from an example of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete, Space, flatten_space
from gymnasium.vector import AutoresetMode

from meta_rl.errors import one_line


class Description(NamedTuple):
    """An environment that a policy can act in."""

    spec: EnvSpec  # instead of the id: another process need not have imported what registers that
    observation_size: int  # flattened
    actions: Box | Discrete


def describe(
    id: str, vectorized: bool, env_kwargs: Mapping[str, Any], attributes: tuple[str, ...]
) -> Description:
    """Make one environment, look at it, and close it.

    Args:
        id: The name for `gymnasium.make`.
        vectorized: Take the vector environment that is registered under `id`, instead of the single one.
        env_kwargs: Arguments of the environment's constructor.
        attributes: Names of attributes that it must have, since tasks will set them.

    Raises:
        ValueError: if it cannot be made, lacks an attribute, or has unsuitable spaces; the message begins
            with the argument's name.
    """
    try:
        if vectorized:
            example: Any = gym.make_vec(id, 1, "vector_entry_point", **env_kwargs)
        else:
            example = gym.make(id, **env_kwargs)
    except (gym.error.Error, ImportError, TypeError, ValueError) as error:
        raise ValueError(f"id {id!r}: {one_line(error)}") from error
    try:
        return _read(example, vectorized, attributes)
    finally:
        example.close()


def _read(example: Any, vectorized: bool, attributes: tuple[str, ...]) -> Description:
    spec = gym.spec(example.unwrapped.spec.id)
    for name in attributes:
        if not hasattr(example.unwrapped, name):
            raise ValueError(
                f"task_parameters {name}: {spec.id} has no such attribute; name one, or give a task_setter"
            )
    actions, observations = example.action_space, example.observation_space
    if vectorized:
        actions, observations = example.single_action_space, example.single_observation_space
        if not isinstance(example.metadata.get("autoreset_mode"), AutoresetMode):
            raise ValueError(f"id {spec.id}: the metadata of its vector environment lack autoreset_mode")
    size = check_spaces(f"id {spec.id}", observations, actions)
    if vectorized and not isinstance(observations, Box):
        raise ValueError(f"id {spec.id}: its observations are {observations}, but a policy needs a Box")
    return Description(spec, size, actions)


def check_spaces(name: str, observations: Space, actions: Space) -> int:
    """The length of an environment's flattened observations.

    Raises:
        ValueError: if no policy can act in the spaces; the message begins with `name`.
    """
    if not isinstance(actions, Discrete) and not (isinstance(actions, Box) and actions.dtype.kind == "f"):
        raise ValueError(
            f"{name}: its actions are {actions}, but a policy needs a continuous Box or a Discrete"
        )
    flat = flatten_space(observations)
    if not isinstance(flat, Box):
        raise ValueError(f"{name}: its observations are {observations}, but a policy needs a Box")
    return flat.shape[0]
