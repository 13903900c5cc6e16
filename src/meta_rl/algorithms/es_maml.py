"""ES-MAML (Song et al. 2020): the meta-gradient by evolution strategies, with no derivative of adaptation."""

import math
from typing import Any, Literal

import torch
from torch import Tensor

from meta_rl import ranks
from meta_rl.algorithms.base import MetaLearner, Timer, as_gradient, plain_optimizer
from meta_rl.envs import BatchedEnv
from meta_rl.evolution import EvolutionStrategy
from meta_rl.perturbations import draw_directions, perturbed, slope
from meta_rl.policy import repeat
from meta_rl.randomness import Phase, TaskStreams
from meta_rl.types import Experience, MetaBatch, Params


class ESMAML(MetaLearner):
    """Move theta to where adaptation leads to higher returns, as perturbations of theta show.

    For each task theta is perturbed in antithetic pairs, theta + sigma g and theta - sigma g. Each perturbed
    policy plays `fast_batch_size` episodes, adapts, and plays as many again; its fitness F is the mean return
    of the latter. The gradient is minus the mean over tasks and pairs of

        (F(theta + sigma g) - F(theta - sigma g)) / (2 sigma)  g

    divided by the standard deviation of F within tasks, as in ARS (Mania et al. 2018, section 3.1): it makes
    `outer_lr` free of the returns' scale. Without a deviation the gradient is 0. Both policies of a pair meet
    the same random numbers, so that only their parameters make the difference (Kleinman, Spall and Naiman
    1999). The episodes of theta itself are a measurement only.

    Args:
        perturbations: P, perturbed policies a task; even.
        sigma: Length of a perturbation of a single parameter.
        adaptation: `gradient` for the policy gradient of the other methods, or `es` for `EvolutionStrategy`.
        inner_sigma: Of the perturbations in adaptation by `es`, which needs an even `fast_batch_size`.
        outer_optimizer: Takes the gradient above.
        outer_lr: Its learning rate.
        **kwargs: Those of `MetaLearner`.

    Raises:
        ValueError: for values outside their range.
    """

    def __init__(
        self,
        perturbations: int = 20,
        sigma: float = 0.05,
        adaptation: Literal["gradient", "es"] = "gradient",
        inner_sigma: float = 0.1,
        outer_optimizer: Literal["sgd", "adam"] = "adam",
        outer_lr: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if perturbations < 2 or perturbations % 2:
            raise ValueError(f"perturbations come in pairs: must be even and at least 2, got {perturbations}")
        plain_optimizer(outer_optimizer, [torch.zeros(1)], outer_lr)  # a mistake shows now
        for name, value in {"sigma": sigma, "inner_sigma": inner_sigma}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {value}")
        self.perturbations, self.sigma = perturbations, sigma
        self.by_es, self.inner_sigma = adaptation == "es", inner_sigma
        self.outer_optimizer: Literal["sgd", "adam"] = outer_optimizer
        self.outer_lr = outer_lr

    def build(self, env: BatchedEnv, seed: int) -> None:
        super().build(env, seed)
        if self.by_es:
            self.inner = EvolutionStrategy(self.policy, self.inner_sigma, **self.inner_arguments)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return plain_optimizer(self.outer_optimizer, self.policy.parameters(), self.outer_lr)

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        timer = Timer()
        theta = {name: p.clone() for name, p in self.theta().items()}
        directions = self.directions(batch)
        rows = perturbed(repeat(theta, len(batch.tasks)), directions, self.sigma)
        *episodes, query = self.adapt(rows, batch, timer)
        with timer("gradient"):
            fitness = query.returns.mean(-1).view(len(batch.tasks), self.perturbations)
            gradient = self.gradient(fitness, directions)
            norm = as_gradient(list(self.policy.parameters()), list(gradient.values()))
        self.require_finite(batch, {"gradient_norm": norm}, [batch.support, query])
        self.meta_optimizer().step()
        kl = self.kl_from(theta, batch.support.samples)
        numbers = {"gradient_norm": norm, "kl": kl}
        self.log_iteration(batch, [batch.support, *episodes], query, timer, numbers)

    def directions(self, batch: MetaBatch) -> Params:
        """The directions [N, P / 2, ...] in which theta is perturbed."""
        tasks = len(batch.tasks)
        streams = TaskStreams(
            self.datamodule.seed, batch.iteration, Phase.PERTURBATIONS, ranks.index() * tasks
        )
        return draw_directions(streams, repeat(self.theta(), tasks), self.perturbations // 2)

    @torch.no_grad()
    def adapt(self, rows: Params, batch: MetaBatch, timer: Timer) -> list[Experience]:
        """All episodes of adaptation from parameters [N * P, ...]; the last ones are those of the adapted."""
        tasks = batch.tasks.repeat_interleave(self.perturbations, 0)
        episodes: list[Experience] = []

        def collect(params: Params, step: int, sigma: float = 0.0) -> Experience:
            phase = Phase.SUPPORT + 1 + step if step < self.num_inner_steps else Phase.QUERY
            sample = self.datamodule.collect
            episodes.append(sample(self.policy, params, tasks, batch.iteration, phase, sigma, alike=2))
            return episodes[-1]

        with timer("inner"):
            adapted = self.inner.start(rows)
            for _ in range(self.num_inner_steps):
                adapted = self.inner.advance(adapted, collect)
            collect(adapted.params, self.num_inner_steps)
        timer.seconds["inner"] -= sum(e.seconds for e in episodes)
        return episodes

    def gradient(self, fitness: Tensor, directions: Params) -> Params:
        """The meta-gradient [...], downhill, from a fitness [N, P] and directions [N, P / 2, ...]."""
        spread = ranks.gather(fitness.double().var(1, correction=0)).mean().sqrt()
        tasks = len(fitness) * ranks.size()
        scale = 0.0 if spread == 0 else 1 / float(spread) / tasks
        uphill = slope(fitness, directions, self.sigma)
        return {name: (-scale * ranks.sum_over_tasks(x)).to(x) for name, x in uphill.items()}
