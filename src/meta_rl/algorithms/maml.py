"""MAML and FOMAML (Finn, Abbeel and Levine 2017, algorithm 3) with TRPO as the meta-optimizer."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from meta_rl.algorithms.trpo import TRPOLearner
from meta_rl.metrics import Stopwatch
from meta_rl.randomness import Phase
from meta_rl.types import Batch, MetaBatch, Params


class MAML(TRPOLearner):
    """Second-order MAML: the meta-gradient is differentiated through the inner loop.

    Args:
        curvature_every_n_steps: How often to log what the second-order term contributes; 0 for never.
        **kwargs: Those of `TRPOLearner`.
    """

    first_order = False

    def __init__(self, curvature_every_n_steps: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if curvature_every_n_steps < 0:
            raise ValueError(f"curvature_every_n_steps must not be negative, got {curvature_every_n_steps}")
        self.curvature_every_n_steps = curvature_every_n_steps

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        watch = Stopwatch()
        adapted, support = self.adapt(batch, watch)
        query = self.collect(adapted, batch, Phase.QUERY)
        objective = self.objective(support, adapted, query, self.first_order)
        loss, gradient, numbers = self.outer_gradient(objective, watch)
        self.require_finite(batch, numbers, [*support, query])
        every = self.curvature_every_n_steps
        if every and batch.iteration % every == 0:
            diagnostics = self.curvature(support, adapted, query, gradient)
            # They must not stop a run that is fine without them.
            numbers |= {name: value for name, value in diagnostics.items() if math.isfinite(value)}
        numbers |= self.outer_step(objective, loss, watch)
        self.log_iteration(batch, support, query, watch, numbers)

    def curvature(
        self, support: list[Batch], adapted: Params, query: Batch, gradient: list[Tensor]
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
