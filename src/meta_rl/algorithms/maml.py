"""MAML and FOMAML (Finn, Abbeel and Levine 2017, algorithm 3)."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from meta_rl.algorithms.base import Timer
from meta_rl.algorithms.outer import ObjectiveLearner
from meta_rl.types import Experience, MetaBatch, Params


class MAML(ObjectiveLearner):
    """Second-order MAML: the meta-gradient is differentiated through the inner loop.

    Args:
        curvature_every_n_steps: How often to log what the second-order term contributes; 0 for never. Never
            with `sampling_credit`, a part of the gradient that the term would be compared with.
        sampling_credit: Whether the outer loss credits the support with what it led to (E-MAML; `credit`).
        **kwargs: Those of `ObjectiveLearner`.
    """

    first_order = False

    def __init__(
        self, curvature_every_n_steps: int = 10, sampling_credit: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if curvature_every_n_steps < 0:
            raise ValueError(f"curvature_every_n_steps must not be negative, got {curvature_every_n_steps}")
        if sampling_credit and self.outer_optimizer == "ppo":
            raise ValueError("sampling_credit has no place in outer_optimizer ppo; choose trpo or adam")
        self.curvature_every_n_steps = curvature_every_n_steps
        self.sampling_credit = sampling_credit

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        timer = Timer()
        *before, (adapted, query) = self.adaptation(batch, timer)
        support = [episodes for _, episodes in before]
        objective = self.objective(support, adapted.params, query, self.first_order)
        loss, gradient, numbers = self.outer_gradient(objective, timer)
        self.require_finite(batch, numbers, [*support, query])
        every = self.curvature_every_n_steps
        if every and not self.sampling_credit and batch.iteration % every == 0:
            diagnostics = self.curvature(support, adapted.params, query, gradient)
            # They must not stop a run that is fine without them.
            numbers |= {name: value for name, value in diagnostics.items() if math.isfinite(value)}
        numbers |= self.outer_step(objective, loss, timer)
        self.log_iteration(batch, support, query, timer, numbers)

    def curvature(
        self, support: list[Experience], adapted: Params, query: Experience, gradient: list[Tensor]
    ) -> dict[str, float]:
        """What the second-order term contributes to the meta-gradient, on the same data.

        Its relative size |g_MAML - g_FOMAML| / |g_MAML|, and the cosine between the two gradients.
        """
        other_objective = self.objective(support, adapted, query, not self.first_order)
        _, other = other_objective.gradient(self.theta(), with_fisher=False)
        ours, theirs = parameters_to_vector(gradient), parameters_to_vector(other)
        maml, fomaml = (theirs, ours) if self.first_order else (ours, theirs)
        return {
            "second_order_norm": float((maml - fomaml).norm() / maml.norm().clamp(min=1e-30)),  # 0 for 0 / 0
            "second_order_cosine": float(torch.cosine_similarity(maml, fomaml, dim=0)),
        }


class FOMAML(MAML):
    """First-order MAML: the same, with the Jacobian of the inner loop taken for the identity."""

    first_order = True
