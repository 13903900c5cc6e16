"""Small random Markov decision processes, whose expected returns and gradients can be computed exactly."""

import copy
import math
from itertools import product
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor
from torch.nn.functional import one_hot

from meta_rl.envs.base import BatchedEnv
from meta_rl.randomness import TaskStreams, generator

Vary = Literal["rewards", "transitions"]


class Tables(NamedTuple):
    """Everything there is to know about tasks with S states and A actions; of one task without the axis N."""

    initial: Tensor  # [N, S] probabilities of the first state
    transitions: Tensor  # [N, S, A, S] probabilities of the next state; the last axis adds up to 1
    rewards: Tensor  # [N, S, A] of an action in a state

    def task(self, index: int) -> "Tables":
        """The tables of one task: [S], [S, A, S], [S, A]."""
        return Tables(*(table[index] for table in self))


class TabularMDP(BatchedEnv):
    """Variations of one random MDP. Observed: the state, one-hot. No episode ends before the horizon.

    The base MDP has initial and transition probabilities from flat Dirichlet distributions, and standard
    normal rewards r(s, a). A task adds an offset, uniform in [-spread, spread], to every reward or to every
    logit (logarithm of a probability, before it is normalised) of the transitions.

    Actions are indices: `step` takes [N, K, 1] (int64) from 0 to A - 1.

    Args:
        num_states: S.
        num_actions: A.
        horizon: Steps per episode.
        spread: Largest offset, in units of reward or in nats; with 0 all tasks are the base MDP.
        vary: What differs between tasks.
        mdp_seed: Seed of the base MDP.

    Raises:
        ValueError: for a number of states, of actions or of steps below 1, a negative or infinite spread, a
            negative seed, and an unknown `vary`.
    """

    def __init__(
        self,
        num_states: int = 5,
        num_actions: int = 3,
        horizon: int = 20,
        spread: float = 1.0,
        vary: Vary = "rewards",
        mdp_seed: int = 0,
    ) -> None:
        for name, number in (("num_states", num_states), ("num_actions", num_actions), ("horizon", horizon)):
            if number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if not 0 <= spread < math.inf:
            raise ValueError(f"spread must be finite and not negative, got {spread}")
        if vary not in get_args(Vary):
            raise ValueError(f"vary must be one of {', '.join(get_args(Vary))}, got {vary}")
        if mdp_seed < 0:
            raise ValueError(f"mdp_seed must not be negative, got {mdp_seed}")
        self.num_states, self.num_actions, self.horizon = num_states, num_actions, horizon
        self.spread, self.vary, self.mdp_seed = spread, vary, mdp_seed
        self._initial_logits, self._logits, self._rewards = _base(num_states, num_actions, mdp_seed)
        varied, name = (self._rewards, "reward") if vary == "rewards" else (self._logits, "logit")
        columns = product(*map(range, varied.shape))
        self.task_parameters = tuple("_".join([name, *map(str, indices)]) for indices in columns)
        self.task_defaults = dict.fromkeys(self.task_parameters, 0.0)
        self.task_space = Box(-spread, spread, (varied.numel(),), np.float32)
        self.observation_space = Box(0.0, 1.0, (num_states,), np.float32)
        self.action_space = Discrete(num_actions)

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return (torch.rand(n, len(self.task_parameters), generator=generator) * 2 - 1) * self.spread

    def mdp(self, tasks: Tensor) -> Tables:
        """The tables of tasks [N, P], in the dtype of `tasks`; computed in float64."""
        rewards, logits = (table.to(tasks.device) for table in (self._rewards, self._logits))
        if self.vary == "rewards":
            rewards = rewards + tasks.double().reshape(-1, *rewards.shape)
        else:
            logits = logits + tasks.double().reshape(-1, *logits.shape)
        of_base = self._initial_logits.softmax(-1), logits.softmax(-1), rewards
        axes = 1, 3, 2  # of one task's table
        return Tables(
            *(x.to(tasks).expand(len(tasks), *x.shape[-n:]) for x, n in zip(of_base, axes, strict=True))
        )

    def clone(self) -> BatchedEnv:
        return copy.copy(self)  # no array is changed in place

    def reset(self, tasks: Tensor, episodes: int, streams: TaskStreams) -> Tensor:
        self._tables = self.mdp(tasks)
        # All draws of an episode, for its first state and every next one, whatever its actions will be.
        size = episodes, 1 + self.horizon
        draws = streams.draw(len(tasks), lambda g: torch.rand(size, generator=g, dtype=torch.float64))
        first, *self._draws = draws.to(tasks.device).unbind(-1)  # [N, K] each
        self._draws.reverse()
        self._task = torch.arange(len(tasks), device=tasks.device)[:, None]  # [N, 1]
        self._state = categorical(self._tables.initial[:, None], first)
        return self._observation()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        where = self._task, self._state, actions[..., 0]
        rewards = self._tables.rewards[where]
        self._state = categorical(self._tables.transitions[where], self._draws.pop())
        return self._observation(), rewards, torch.zeros_like(rewards, dtype=torch.bool)

    def _observation(self) -> Tensor:
        return one_hot(self._state, self.num_states).to(self._tables.initial)


def categorical(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Indices [...] (int64) with these probabilities [..., C], by inversion of numbers [...] in [0, 1)."""
    return (uniform[..., None] >= probabilities.cumsum(-1)[..., :-1]).sum(-1)


def _base(num_states: int, num_actions: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the first state [S] and of the transitions [S, A, S], and the rewards [S, A], in float64."""
    stream = generator(seed)
    sizes = (num_states,), (num_states, num_actions, num_states)
    # Normalised exponential variables have a flat Dirichlet distribution.
    initial, transitions = (
        torch.empty(size, dtype=torch.float64).exponential_(generator=stream) for size in sizes
    )
    rewards = torch.randn(num_states, num_actions, generator=stream, dtype=torch.float64)
    return initial.log(), transitions.log(), rewards
