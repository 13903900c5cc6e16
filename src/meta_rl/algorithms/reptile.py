"""Batched Reptile (Nichol, Achiam and Schulman 2018, algorithm 2)."""

from typing import Any, Literal

import torch

from meta_rl import ranks
from meta_rl.algorithms.base import MetaLearner, Timer, as_gradient, plain_optimizer
from meta_rl.randomness import Phase
from meta_rl.types import MetaBatch


class Reptile(MetaLearner):
    """Move theta towards the parameters that adaptation reaches: theta + outer_lr * mean_i (theta_i - theta).

    The last of the `num_inner_steps` batches of episodes counts as post-adaptation data (it was collected
    after all steps but the last); only with a single inner step further episodes are collected for the log.

    Args:
        outer_optimizer: `sgd` takes the step above; `adam` uses theta - mean_i theta_i as its gradient.
        outer_lr: Step size.
        num_inner_steps: k, gradient steps of adaptation on fresh episodes.
        **kwargs: Those of `MetaLearner`.
    """

    def __init__(
        self,
        outer_optimizer: Literal["sgd", "adam"] = "sgd",
        outer_lr: float = 0.5,
        num_inner_steps: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_inner_steps=num_inner_steps, **kwargs)
        plain_optimizer(outer_optimizer, [torch.zeros(1)], outer_lr)  # a mistake shows now
        self.outer_optimizer: Literal["sgd", "adam"] = outer_optimizer
        self.outer_lr = outer_lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return plain_optimizer(self.outer_optimizer, self.policy.parameters(), self.outer_lr)

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        timer, last = Timer(), self.num_inner_steps - 1
        pairs = self.adaptation(batch, timer, last)
        episodes = [e for _, e in pairs]
        with timer("inner"), torch.no_grad():
            adapted = self.inner.step(pairs[-1][0], episodes[-1].samples).params
        post = episodes[-1] if last else self.collect(adapted, batch, Phase.QUERY)
        theta = {name: p.clone() for name, p in self.theta().items()}
        with timer("gradient"):
            tasks = len(batch.tasks) * ranks.size()
            means = {name: ranks.sum_over_tasks(value) / tasks for name, value in adapted.items()}
            gradient = [(theta[name] - mean).to(theta[name]) for name, mean in means.items()]
            norm = as_gradient(list(self.policy.parameters()), gradient)
        self.require_finite(batch, {"gradient_norm": norm}, episodes)
        self.meta_optimizer().step()
        kl = self.kl_from(theta, episodes[0].samples)
        self.log_iteration(batch, episodes, post, timer, {"gradient_norm": norm, "kl": kl})
