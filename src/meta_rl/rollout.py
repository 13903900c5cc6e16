"""Closed-loop simulation of per-task policies on a batched environment."""

import time
from itertools import chain, pairwise

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from meta_rl import threads
from meta_rl.advantages import AdvantageEstimator, masked_mean
from meta_rl.distributions import Categorical, Gaussian
from meta_rl.envs import BatchedEnv
from meta_rl.errors import Failure, UserError
from meta_rl.failures import OnFailure, Trace, find_failures, finite, judge, warn
from meta_rl.perturbations import draw_directions, perturbed
from meta_rl.policy import distribution
from meta_rl.randomness import TaskStreams
from meta_rl.types import Experience, Params, Trajectories, pack


class Sampler:
    """Collects `episodes` episodes of every task, all tasks and episodes in one batch.

    Args:
        env: The task family.
        episodes: K.
        estimator: From episodes to samples.
        on_failure: Whether failed episodes are left out from where they failed, or stop the run.
    """

    def __init__(
        self,
        env: BatchedEnv,
        episodes: int,
        estimator: AdvantageEstimator,
        on_failure: OnFailure = "drop",
    ) -> None:
        self.env = env
        self.episodes = episodes
        self.estimator = estimator
        self.on_failure: OnFailure = on_failure
        self._threads_envs: list[BatchedEnv] = []
        self._warned: tuple[int, int] | None = None  # seed and iteration of the last warning

    @torch.no_grad()
    def collect(
        self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams, sigma: float = 0.0
    ) -> Experience:
        """Roll out per-task parameters [N, ...] on tasks [N, P] and prepare the losses' samples.

        With a `sigma` every episode has parameters of its own, in antithetic pairs along random directions,
        which the result holds (`perturbations`).

        Raises:
            UserError: for pairs from an odd number of episodes.
            NonFiniteError: if an action is not finite; an `EpisodeError` if an episode failed and that is
                to stop the run, or more than half of them failed. All ranks raise it.
        """
        start = time.perf_counter()
        directions = None
        if sigma:
            directions = draw_directions(streams, params, self._pairs())
            params = perturbed(params, directions, sigma)
        episodes, trace, reported = self._play(policy, params, tasks, streams)
        failures = find_failures(trace, episodes.truncated, reported)
        judge(episodes, trace, failures, self.on_failure, streams.first)
        if failures and self._warned != streams.purpose[:2]:  # once an iteration
            self._warned = streams.purpose[:2]
            warn(failures, streams.first)
        samples, scale, explained = self.estimator(episodes)
        outside = self._outside(episodes.actions).to(episodes.mask.dtype).mean(-1)
        return Experience(
            samples=pack(samples),
            scale=scale,
            returns=episodes.rewards.sum(-1),
            lengths=episodes.mask.sum(-1),
            explained_variance=explained,
            saturation=masked_mean(outside.flatten(1), episodes.mask.flatten(1)),
            entropy=masked_mean(episodes.entropy.flatten(1), episodes.mask.flatten(1)),
            diverged=len(failures),
            seconds=time.perf_counter() - start,
            directions=directions,
        )

    def _pairs(self) -> int:
        pairs, left = divmod(self.episodes, 2)
        if left:
            raise UserError(
                "data.fast_batch_size (--episodes of evaluate.py): adaptation by ES takes episodes in pairs, "
                f"got {self.episodes}; choose an even number"
            )
        return pairs

    def _outside(self, actions: Tensor) -> Tensor:
        """Which action components the environment will clip; none of discrete actions."""
        return torch.zeros_like(actions) if isinstance(self.env.action_space, Discrete) else actions.abs() > 1

    @torch.no_grad()
    def rollout(self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams) -> Trajectories:
        """Episodes [N, K, T, ...] of parameters [N, ...], or [N * M, ...] for K / M each, on tasks [N, P].

        Raises:
            UserError: if the environment's tensors do not have the shapes that `BatchedEnv` asks for.
        """
        return self._play(policy, params, tasks, streams)[0]

    def _play(
        self, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams
    ) -> tuple[Trajectories, Trace, list[Failure]]:
        """The episodes, what the environment returned in them, and the failures that it knows of.

        Each thread has a clone of the environment and some of the tasks, so that no thread waits for another
        after every step.
        """
        envs = self._clones(min(threads.number(), len(tasks)))
        cuts = [len(tasks) * i // len(envs) for i in range(len(envs) + 1)]
        parts = [slice(*ends) for ends in pairwise(cuts)]
        share = len(next(iter(params.values()))) // len(tasks)  # rows of parameters a task

        def play(job: tuple[BatchedEnv, slice, TaskStreams]) -> tuple[Trajectories, Trace, list[Failure]]:
            env, part, own_streams = job
            rows = slice(part.start * share, part.stop * share)
            own_params = {name: value[rows] for name, value in params.items()}
            episodes, trace = play_episodes(env, self.episodes, policy, own_params, tasks[part], own_streams)
            return episodes, trace, [f._replace(task=part.start + f.task) for f in env.failures]

        jobs = [(env, part, streams.part(part)) for env, part in zip(envs, parts, strict=True)]
        episodes, traces, failures = zip(*threads.each(play, jobs), strict=True)
        if len(jobs) == 1:
            return episodes[0], traces[0], failures[0]
        together = Trajectories(*(torch.cat(x) for x in zip(*episodes, strict=True)))
        return together, Trace(*(torch.cat(x) for x in zip(*traces, strict=True))), [*chain(*failures)]

    def _clones(self, number: int) -> list[BatchedEnv]:
        """An environment for each of so many threads; only one if it cannot be cloned."""
        if number == 1:
            return [self.env]
        while len(self._threads_envs) < number:
            clone = self.env.clone()
            if clone is None:
                return [self.env]
            self._threads_envs.append(clone)
        return self._threads_envs[:number]


def play_episodes(
    env: BatchedEnv, episodes: int, policy: nn.Module, params: Params, tasks: Tensor, streams: TaskStreams
) -> tuple[Trajectories, Trace]:
    """Episodes of parameters [N, ...] or [N * M, ...] on tasks [N, P], and what the environment returned."""
    # Nothing here may wait for a GPU: what failed is noted in tensors, and looked at after the last step.
    n, space = len(tasks), env.action_space
    kind, size = (Categorical, space.n) if isinstance(space, Discrete) else (Gaussian, space.shape[0])
    noise = streams.draw(n, lambda g: kind.noise(env.horizon, episodes, int(size), generator=g)).to(tasks)
    noise = noise.transpose(0, 1).contiguous()  # [T, N, K, A]
    params = {name: value.contiguous() for name, value in params.items()}  # once, instead of every step
    observation = env.reset(tasks, episodes, streams)
    alive = finite(observation)
    observation = torch.where(alive[..., None], observation, 0.0)
    steps = []
    for t in range(env.horizon):
        outputs = distribution(policy, params, observation)
        action = outputs.sample(noise[t])
        following, reward, terminated = env.step(action)
        if t == 0:
            _check_shapes(env, observation, following, reward, terminated)
        steps.append((observation, action, reward, alive, terminated, *outputs))
        alive = alive & ~terminated & reward.isfinite() & finite(following)
        # An episode that has ended keeps its last observation, whatever the simulator shows for it.
        observation = torch.where(alive[..., None], following, observation)
    observations, actions, *others = (torch.stack(x, 2) for x in zip(*steps, strict=True))
    trace, outputs = Trace(*others[:3]), kind._make(others[3:])
    log_probs, entropy = outputs.log_prob(actions), outputs.entropy()  # once, not in every step
    valid = trace.begun & trace.rewards.isfinite()
    for task, episode, step in (failure[:3] for failure in env.failures):
        alive[task, episode] &= not trace.begun[task, episode, step]
        valid[task, episode, step:] = False
    rewards, mask = torch.where(valid, trace.rewards, 0.0), valid.to(trace.rewards.dtype)
    return Trajectories(observations, actions, rewards, mask, alive, observation, log_probs, entropy), trace


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
