"""What every meta-algorithm shares: the policy, the inner loop, and the log of an iteration."""

import math
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

import lightning as L
import torch
from gymnasium.spaces import Box, Discrete
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.func import functional_call

from meta_rl import ranks
from meta_rl.advantages import masked_mean
from meta_rl.data import RolloutDataModule
from meta_rl.envs import BatchedEnv
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.inner import Adapted, InnerLoop, adaptation
from meta_rl.policy import CategoricalMLP, GaussianMLP, PolicyConfig, policy_for, repeat
from meta_rl.randomness import Phase, generator
from meta_rl.types import Experience, MetaBatch, Params, Samples


class Timer:
    """Adds up wall seconds by name: `with timer("gradient"): ...`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


class MetaLearner(L.LightningModule):
    """Base of the meta-algorithms. A subclass writes `configure_optimizers` and `training_step`.

    Attributes:
        adapts: Whether gradient steps are taken on a new task; if not it is evaluated without.
        pooled: Whether training fits one baseline to the episodes of all tasks and normalises over them.
        inner_arguments: Those of `inner`, for a subclass whose `build` makes another one.

    Args:
        num_inner_steps: Gradient steps of adaptation while training; each sees fresh episodes.
        policy: Shape and initial values of the policy.
        **inner: How a gradient step is taken: the arguments of `InnerLoop` but for its policy.

    Raises:
        ValueError: for values outside their range.
    """

    adapts = True
    pooled = False
    policy: GaussianMLP | CategoricalMLP
    inner: InnerLoop
    env_steps: Tensor

    def __init__(self, num_inner_steps: int = 1, policy: PolicyConfig | None = None, **inner: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        if num_inner_steps < 1:
            raise ValueError(f"num_inner_steps must be at least 1, got {num_inner_steps}")
        self.num_inner_steps = num_inner_steps
        self._policy_config = policy or PolicyConfig()
        self.inner_arguments = inner
        # On a policy of the smallest size, so that a mistake shows before anything is built.
        InnerLoop(GaussianMLP(1, 1, self._policy_config), **inner)
        self.register_buffer("env_steps", torch.zeros((), dtype=torch.int64))

    @classmethod
    def trainable(cls) -> bool:
        """Whether there is a `training_step`."""
        return cls.training_step is not L.LightningModule.training_step

    def environment(self, env: BatchedEnv) -> BatchedEnv:
        """The environment as this learner's policy sees it, in training and in evaluation."""
        return env

    def build(self, env: BatchedEnv, seed: int) -> None:
        """Make the policy for an environment's spaces, from the seed's initial weights.

        Raises:
            UserError: if a space is no one-dimensional Box, and the actions are not discrete either; if an
                option has no meaning for the actions.
        """
        stream = generator(seed, 0, Phase.INIT)
        env = self.environment(env)
        actions = env.action_space
        size = int(actions.n) if isinstance(actions, Discrete) else box_size(env, "action_space")
        make = policy_for(actions)
        self.policy = make(box_size(env, "observation_space"), size, self._policy_config, stream)
        self.inner = InnerLoop(self.policy, **self.inner_arguments)

    def configure_model(self) -> None:
        self.datamodule.sample_from(self.environment(self.datamodule.env), self.pooled)
        if not hasattr(self, "policy"):
            self.build(self.datamodule.env, self.datamodule.seed)

    @property
    def datamodule(self) -> RolloutDataModule:
        """The trainer's data module, through which further episodes are collected."""
        return self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]

    def theta(self) -> Params:
        """The meta-parameters by name, without their graph."""
        return {name: p.detach() for name, p in self.policy.named_parameters()}

    def meta_optimizer(self) -> LightningOptimizer:
        """The outer optimizer; each of its steps counts as one `global_step`."""
        return cast(LightningOptimizer, self.optimizers())

    def adaptation(
        self, batch: MetaBatch, timer: Timer, gradient_steps: int | None = None
    ) -> list[tuple[Adapted, Experience]]:
        """Parameters after 0, 1, ... inner steps with episodes of them; the last ones are the query.

        The first episodes are those that came with the batch, all others are fresh.

        Args:
            batch: The iteration's tasks.
            timer: Gets the steps' seconds under `inner`.
            gradient_steps: `num_inner_steps` if None.
        """

        def collect(params: Params, step: int) -> Experience:
            phase = Phase.SUPPORT + step if step < self.num_inner_steps else Phase.QUERY
            return self.collect(params, batch, phase) if step else batch.support

        steps = self.num_inner_steps if gradient_steps is None else gradient_steps
        theta = repeat(self.theta(), len(batch.tasks))
        with timer("inner"):
            pairs = list(adaptation(self.inner, theta, steps, collect))
        timer.seconds["inner"] -= sum(episodes.seconds for _, episodes in pairs[1:])
        return pairs

    def collect(self, params: Params, batch: MetaBatch, phase: int) -> Experience:
        """Episodes of per-task parameters on the batch's tasks."""
        return self.datamodule.collect(self.policy, params, batch.tasks, batch.iteration, phase)

    def log_iteration(
        self,
        batch: MetaBatch,
        episodes: list[Experience],
        post: Experience,
        timer: Timer,
        numbers: dict[str, float],
    ) -> None:
        """Log one iteration, and let the policy's normaliser take in its states.

        Returns and counts are those of all ranks, times and memory those of this one.

        Args:
            batch: The iteration's tasks.
            episodes: Episodes before each inner step. The first ones give the metrics `*_pre`.
            post: Episodes of the adapted parameters, for the metrics `*_post`.
            timer: Seconds of everything but sampling.
            numbers: What the algorithm logs besides, by name.

        Raises:
            NonFiniteError: if a return or one of the `numbers` is not finite.
        """
        collected = episodes if any(post is e for e in episodes) else [*episodes, post]
        counts = [torch.stack([e.lengths.sum(), e.lengths.new_tensor(e.diverged)]) for e in collected]
        steps, diverged = map(int, ranks.total(counts))
        self.env_steps += steps
        sampling = sum(e.seconds for e in collected)
        update = sum(timer.seconds.values())
        record = {
            **episodes[0].metrics("pre"),
            **post.metrics("post"),
            **numbers,
            "diverged": float(diverged),
            "env_steps": float(self.env_steps),
            "env_steps_per_s": steps / (sampling + update),
            "time_sampling": sampling,
            "time_update": update,
            **{f"time_{name}": seconds for name, seconds in timer.seconds.items()},
            "memory_mb": peak_memory_mb(),
        }
        self.require_finite(batch, record, collected)
        # As a float64 tensor: a plain number would be logged in float32, which counts only to 2^24.
        self.log_dict({**record, "env_steps": self.env_steps.cpu().double()})
        normalizer = getattr(self.policy, "normalizer", None)  # a policy of one's own may have none
        if normalizer is not None:
            for e in collected:
                normalizer.update(e.samples.observations, e.samples.mask)

    @torch.no_grad()
    def kl_from(self, theta: Params, samples: Samples) -> float:
        """Mean KL of the meta-policy from what it was with `theta`, over valid states and tasks."""
        old = functional_call(self.policy, theta, (samples.observations,))
        kl = masked_mean(old.kl(self.policy(samples.observations)), samples.mask)
        return float(ranks.gather(kl).mean())

    def require_finite(self, batch: MetaBatch, numbers: dict[str, float], episodes: list[Experience]) -> None:
        """Raise a NonFiniteError that names the first number that is not finite and carries the episodes."""
        for name, value in numbers.items():
            if not math.isfinite(value):
                dump = {"iteration": batch.iteration, "tasks": batch.tasks, "theta": self.theta()}
                dump |= {"numbers": numbers, "samples": [e.samples._asdict() for e in episodes]}
                dump |= {"statistics": dict(self.policy.named_buffers())}
                raise NonFiniteError(f"{name} is {value}", dump)


def box_size(env: BatchedEnv, name: str) -> int:
    """Length of the vectors in one of an environment's spaces.

    Raises:
        UserError: if the space is no one-dimensional Box.
    """
    space = getattr(env, name, None)
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise UserError(f"{type(env).__name__}.{name} must be a one-dimensional gymnasium Box, got {space}")
    return space.shape[0]


def plain_optimizer(
    name: Literal["sgd", "adam"], parameters: Iterable[Tensor], outer_lr: float
) -> torch.optim.Optimizer:
    """An outer optimizer whose step follows `.grad` alone.

    Raises:
        ValueError: for a rate that is not positive and finite.
    """
    if not 0 < outer_lr < math.inf:
        raise ValueError(f"outer_lr must be positive and finite, got {outer_lr}")
    return {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name](parameters, lr=outer_lr)


def as_gradient(parameters: Sequence[Tensor], gradient: Sequence[Tensor]) -> float:
    """Put a gradient into `.grad`, where the optimizers look for it; return its norm."""
    for parameter, value in zip(parameters, gradient, strict=True):
        parameter.grad = value.detach().clone()
    return float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradient])))


def peak_memory_mb() -> float:
    """Peak memory so far in MB: the GPU's where there is one in use, else the process's resident set."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return torch.cuda.max_memory_allocated() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
