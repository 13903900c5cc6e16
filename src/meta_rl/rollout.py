"""Closed-loop simulation of per-task policies on a batched environment."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import BatchedEnv
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.inner import distribution
from meta_rl.randomness import TaskStreams
from meta_rl.states import pack
from meta_rl.types import Batch, Params, Trajectories


class Sampler:
    """Collects `episodes` episodes of every task, all tasks and episodes in one batch."""

    def __init__(self, env: BatchedEnv, episodes: int, estimator: AdvantageEstimator) -> None:
        self.env = env
        self.episodes = episodes
        self.estimator = estimator

    @torch.no_grad()
    def collect(self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams) -> Batch:
        """Roll out per-task parameters [N, ...] on tasks [N, P] and prepare the losses' samples.

        Raises:
            NonFiniteError: if a reward, observation or action is not finite.
        """
        start = time.perf_counter()
        episodes = self.rollout(policy, params, tasks, streams)
        if not all(x.isfinite().all() for x in episodes[:3]):
            raise NonFiniteError("an observation, action or reward is not finite", episodes._asdict())
        samples, explained = self.estimator(episodes)
        entropy = distribution(policy, params, samples.observations[:, :1]).entropy().mean()
        outside = (episodes.actions.abs() > 1).to(episodes.mask.dtype).mean(-1) * episodes.mask
        return Batch(
            samples=pack(samples),
            returns=episodes.rewards.sum(-1),
            lengths=episodes.mask.sum(-1),
            explained_variance=explained,
            saturation=outside.sum() / episodes.mask.sum(),
            entropy=entropy,
            diverged=self.env.diverged,
            seconds=time.perf_counter() - start,
        )

    @torch.no_grad()
    def rollout(self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams) -> Trajectories:
        """Episodes [N, K, T, ...] of per-task parameters [N, ...] on tasks [N, P].

        Raises:
            UserError: if the environment's tensors do not have the shapes that `BatchedEnv` asks for.
        """
        with one_thread() if self.env.threaded else nullcontext():
            return self._rollout(policy, params, tasks, streams)

    def _rollout(
        self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams
    ) -> Trajectories:
        env, n, k = self.env, len(tasks), self.episodes
        size = env.action_space.shape[0]
        noise = streams.draw(n, lambda g: torch.randn(env.horizon, k, size, generator=g)).to(tasks)
        noise = noise.transpose(0, 1).contiguous()  # [T, N, K, A]
        params = {name: value.contiguous() for name, value in params.items()}  # once, instead of every step
        observation = env.reset(tasks, k, streams)
        alive = torch.ones(n, k, dtype=torch.bool, device=tasks.device)
        steps = []
        for t in range(env.horizon):
            mean, log_std = distribution(policy, params, observation)
            action = mean + log_std.exp() * noise[t]
            following, reward, terminated = env.step(action)
            if t == 0:
                _check_shapes(env, observation, following, reward, terminated)
            steps.append((observation, action, torch.where(alive, reward, 0.0), alive))
            alive = alive & ~terminated
            # An episode that has ended keeps its last observation, whatever the simulator shows for it.
            observation = torch.where(alive[..., None], following, observation)
        observations, actions, rewards, mask = (torch.stack(x, 2) for x in zip(*steps, strict=True))
        return Trajectories(observations, actions, rewards, mask.to(rewards.dtype), alive, observation)


@contextmanager
def one_thread() -> Iterator[None]:
    """Leave torch a single thread on the CPU.

    A second one gains little on small products, and waking two pools of threads in turns, torch's and the
    simulator's, makes the simulator a quarter slower.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check_shapes(
    env: BatchedEnv, observation: Tensor, following: Tensor, reward: Tensor, terminated: Tensor
) -> None:
    if following.shape != observation.shape:
        shapes = f"{list(observation.shape)} and {list(following.shape)}"
        raise UserError(f"{type(env).__name__}: reset and step return observations of shapes {shapes}")
    batch = observation.shape[:2]
    for name, value in {"rewards": reward, "terminated": terminated}.items():
        if value.shape != batch:
            shapes = f"{list(value.shape)} instead of {list(batch)}, tasks x episodes"
            raise UserError(f"{type(env).__name__}.step returns {name} of shape {shapes}")
