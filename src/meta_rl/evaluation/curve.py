"""Adaptation curves: the return on unseen tasks after 0, 1, 2, ... gradient steps."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import BatchedEnv
from meta_rl.evaluation.task_file import read_tasks
from meta_rl.failures import OnFailure
from meta_rl.inner import InnerLoop
from meta_rl.policy import repeat
from meta_rl.randomness import Phase, TaskStreams, generator
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, Params

STATES_PER_CHUNK = 2**18  # of the tasks adapted at once; 40 tasks x 40 episodes x 100 steps fit


def unseen_tasks(env: BatchedEnv, n: int, seed: int) -> Tensor:
    """`n` tasks [n, P] that no training draws; the same ones for every policy."""
    return env.sample_tasks(n, generator(seed, 0, Phase.EVALUATION_TASKS))


def tasks_to_test(env: BatchedEnv, file: Path | None, n: int, seed: int) -> Tensor:
    """The tasks in a CSV file, or `n` unseen ones if there is no file."""
    return read_tasks(file, env) if file else unseen_tasks(env, n, seed)


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
        inner: What takes the gradient steps.
        env: The task family.
        tasks: [N, P].
        gradient_steps: S.
        episodes: K, per task and gradient step.
        estimator: Advantages for the gradient steps.
        seed: Of the episodes; a comparison of policies uses the same noise in all of them.
        on_failure: As of `Sampler`; a dropped episode counts with its return up to there.

    Returns:
        Undiscounted episode returns [N, S + 1, K], after 0 to S gradient steps.

    Raises:
        NonFiniteError: if adaptation diverges, or episodes fail as in `Sampler.collect`.
    """
    sampler = Sampler(env, episodes, estimator, on_failure)
    tasks = tasks.to(next(policy.parameters()))
    size = max(1, STATES_PER_CHUNK // (episodes * env.horizon))
    curves = []
    for first in range(0, len(tasks), size):
        part = tasks[first : first + size]
        streams = TaskStreams(seed, 0, Phase.EVALUATION_EPISODES, first)
        steps = adapt_steps(policy, inner, sampler, part, gradient_steps, streams)
        curves.append(torch.stack([batch.returns for _, batch in steps], 1))
    return torch.cat(curves)


@torch.no_grad()
def adapt_steps(
    policy: nn.Module,
    inner: InnerLoop,
    sampler: Sampler,
    tasks: Tensor,
    gradient_steps: int,
    streams: TaskStreams,
) -> Iterator[tuple[Params, Experience]]:
    """Adapt to tasks [N, P] at once: the parameters [N, ...] after 0, 1, 2, ... steps, with episodes of them.

    Each step is taken on the episodes that came with the parameters before it.
    """
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, len(tasks))
    state = inner.init(params)
    for step in range(gradient_steps + 1):
        batch = sampler.collect(policy, params, tasks, streams)
        yield params, batch
        if step < gradient_steps:
            params, state = inner.step(params, state, batch.samples)


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
