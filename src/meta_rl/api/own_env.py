"""A user's own Gymnasium environment: one task, whose episodes are played one after the other."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.spaces.utils import flatten
from torch import Tensor, nn

from meta_rl.envs import BatchedEnv
from meta_rl.envs.arrays import to_array, to_simulator, to_tensors
from meta_rl.envs.gymnasium_env import SEEDS
from meta_rl.errors import Failure
from meta_rl.failures import Trace
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler, play_episodes
from meta_rl.types import Params, Trajectories
from meta_rl.workers import check_spaces


class OwnEnv(BatchedEnv):
    """An environment as a family of one task without parameters, with one episode at a time.

    Every episode is reset with a seed of its own. One that the environment truncates before the horizon ends
    there. The environment's exceptions are the user's, and go on to them.

    Args:
        env: The environment; it stays open.
        family: The task family of the policy, whose spaces it must match and whose horizon it gets.

    Raises:
        ValueError: for observations or actions that the policy was not trained for.
    """

    task_parameters = ()
    task_space = Box(0.0, 1.0, (0,), np.float32)
    shareable = False

    def __init__(self, env: gym.Env[Any, Any], family: BatchedEnv) -> None:
        name = type(env.unwrapped).__name__
        size = check_spaces(name, env.observation_space, env.action_space)
        trained = family.observation_space.shape[0]
        if size != trained:
            raise ValueError(
                f"{name}: observations of {size} numbers, but the policy was trained on {trained}"
            )
        self.env, self.horizon = env, family.horizon
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space, self._to_simulator = to_simulator(env.action_space)  # pyright: ignore
        if _kind(self.action_space) != _kind(family.action_space):
            expected = " ".join(_kind(family.action_space))
            raise ValueError(f"{name}: its actions are {env.action_space}, but the policy's are {expected}")

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, 0)

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        assert len(tasks) == episodes == 1
        seed = int(streams.draw(1, lambda g: torch.randint(SEEDS, (), generator=g)))
        self._like, self._steps, self._ended = tasks, 0, False
        self._observation, _ = self.env.reset(seed=seed)
        return self._tensors(0.0)[0]

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        reward = 0.0
        if not self._ended:
            space = self.env.action_space
            flat = self._to_simulator(to_array(actions)[0, 0])
            action = flat.reshape(space.shape).astype(space.dtype)[()]  # a discrete one as a number
            self._observation, reward, terminated, truncated, _ = self.env.step(action)
            self._steps += 1
            self._ended = bool(terminated or (truncated and self._steps < self.horizon))
        return self._tensors(float(reward))

    def _tensors(self, reward: float) -> tuple[Tensor, Tensor, Tensor]:
        """What is seen, paid and ended, of the one episode of the one task."""
        flat: Any = flatten(self.env.observation_space, self._observation)
        arrays = [np.asarray(flat, np.float64)[None, None], np.array([[reward]]), np.array([[self._ended]])]
        observations, rewards, ended = to_tensors(arrays, self._like)
        return observations, rewards, ended


class InTurn(Sampler):
    """Collects the episodes of a task one after the other, in a single environment."""

    def _play(
        self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams
    ) -> tuple[Trajectories, Trace, list[Failure]]:
        def of(episode: int) -> Params:
            """The task's parameters, or those of an episode that has its own."""
            return {k: v[episode : episode + 1] if len(v) > 1 else v for k, v in params.items()}

        numbers = range(self.episodes)
        pairs = [play_episodes(self.env, 1, policy, of(i), tasks, streams) for i in numbers]
        episodes, traces = zip(*pairs, strict=True)
        together = Trajectories(*(torch.cat(x, 1) for x in zip(*episodes, strict=True)))
        return together, Trace(*(torch.cat(x, 1) for x in zip(*traces, strict=True))), []


def _kind(actions: Box | Discrete) -> tuple[str, str]:
    """What a policy has to know of an action space that it acts in."""
    if isinstance(actions, Discrete):
        return str(actions.n), "discrete ones"
    return str(actions.shape[0]), "numbers"
