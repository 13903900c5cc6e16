"""Adaptation curves: the return on test tasks after 0, 1, 2, ... gradient steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import BatchedEnv
from meta_rl.evaluation.task_file import read_tasks
from meta_rl.failures import OnFailure
from meta_rl.inner import Adapted, Collect, InnerLoop, adaptation
from meta_rl.policy import repeat
from meta_rl.randomness import Phase, TaskStreams, generator
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, Params

STATES_AT_ONCE = 2**18  # of the tasks that adapt together; 40 tasks x 40 episodes x 100 steps fit
DRAWS = 100  # for each task, enough to meet all of a family that has no more tasks than are asked for


def evaluation_tasks(env: BatchedEnv, n: int, seed: int) -> Tensor:
    """`n` tasks [n, P], drawn apart from those of training; the same ones for every policy.

    Of a family with a few tasks only, such as two directions, all of them equally often: no draw is left to
    chance, and training has met them all.
    """
    key = seed, 0, Phase.EVALUATION_TASKS
    if env.task_choices.keys() >= set(env.task_parameters):
        different = env.sample_tasks(DRAWS * n, generator(*key)).unique(dim=0)
        if len(different) <= n:
            return different.repeat(-(-n // len(different)), 1)[:n]
    return env.sample_tasks(n, generator(*key))


class TaskChoice(NamedTuple):
    """Which tasks to evaluate on."""

    number: int = 40  # of them, as `evaluation_tasks` draws them
    file: Path | None = None  # the tasks in this CSV file instead


def tasks_to_test(env: BatchedEnv, choice: TaskChoice, seed: int) -> Tensor:
    """The tasks [N, P] of a choice; `seed` decides those that are drawn."""
    return read_tasks(choice.file, env) if choice.file else evaluation_tasks(env, choice.number, seed)


def adaptation_curve(
    policy: nn.Module,
    inner: InnerLoop,
    env: BatchedEnv,
    tasks: Tensor,
    gradient_steps: int,
    episodes: int,
    estimator: AdvantageEstimator,
    seed: int,
    on_failure: OnFailure = "drop",
) -> Tensor:
    """Adapt to every task from the policy's own parameters, with fresh episodes before each step.

    Args:
        policy: The meta-policy; left as it is.
        inner: Takes the gradient steps.
        env: The task family.
        tasks: [N, P].
        gradient_steps: S.
        episodes: K, per task and gradient step.
        estimator: Advantages for the gradient steps.
        seed: Decides the episodes' noise; with the same seed all policies meet the same noise.
        on_failure: What a failed episode does, as in `Sampler`; a dropped one counts with its return so far.

    Returns:
        Undiscounted episode returns [N, S + 1, K], after 0 to S gradient steps.

    Raises:
        NonFiniteError: if adaptation diverges, or episodes fail as in `Sampler.collect`.
    """
    sampler = Sampler(env, episodes, estimator, on_failure)
    tasks = tasks.to(next(policy.parameters()))
    size = max(1, STATES_AT_ONCE // (episodes * env.horizon))
    curves = []
    for first in range(0, len(tasks), size):
        streams = TaskStreams(seed, 0, Phase.EVALUATION_EPISODES, first)
        steps = adapt_policy(policy, inner, sampler, tasks[first : first + size], gradient_steps, streams)
        curves.append(torch.stack([experience.returns for _, experience in steps], 1))
    return torch.cat(curves)


def adapt_policy(
    policy: nn.Module,
    inner: InnerLoop,
    sampler: Sampler,
    tasks: Tensor,
    gradient_steps: int,
    streams: TaskStreams,
) -> Iterator[tuple[Adapted, Experience]]:
    """Adapt a policy to tasks [N, P] at once, from its own parameters; see `inner.adaptation`."""
    theta = {name: p.detach() for name, p in policy.named_parameters()}
    collect = collector(policy, sampler, tasks, streams)
    return adaptation(inner, repeat(theta, len(tasks)), gradient_steps, collect)


def collector(policy: nn.Module, sampler: Sampler, tasks: Tensor, streams: TaskStreams) -> Collect:
    """Collects episodes on tasks [N, P], for `adaptation` or for a single `InnerLoop.advance`."""

    def collect(params: Params, _: int, sigma: float = 0.0) -> Experience:
        return sampler.collect(policy, params, tasks, streams, sigma)

    return collect


def adaptation_frame(env: BatchedEnv, tasks: Tensor, returns: Tensor) -> pd.DataFrame:
    """Returns [N, S + 1, K] on tasks [N, P] as the table that adaptation.csv holds.

    One row per task and gradient step: task (its index), the task's parameters, gradient_step, and over the
    episodes return_mean, return_std (their population's) and episodes.
    """
    n, steps, episodes = returns.shape
    frame = pd.DataFrame(tasks.repeat_interleave(steps, 0).numpy(), columns=list(env.task_parameters))
    frame.insert(0, "task", np.repeat(np.arange(n), steps))
    frame["gradient_step"] = np.tile(np.arange(steps), n)
    frame["return_mean"] = returns.mean(-1).flatten().numpy()
    frame["return_std"] = returns.std(-1, correction=0).flatten().numpy()
    frame["episodes"] = episodes
    return frame
