"""MAML and FOMAML (Finn, Abbeel and Levine 2017, algorithm 3) with TRPO as the meta-optimizer."""

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from meta_rl.algorithms.base import MetaLearner, Timer, as_gradient
from meta_rl.credit import CreditedObjective, credit_of_tasks
from meta_rl.objective import MetaObjective
from meta_rl.trust_region import TrustRegion
from meta_rl.types import Experience, MetaBatch, Params


class TRPOLearner(MetaLearner):
    """Base of the algorithms that improve a `MetaObjective`. A subclass writes `training_step`.

    Attributes:
        sampling_credit: Whether the objective has E-MAML's credit besides.

    Args:
        max_kl: Trust region of the outer step, in nats per state.
        cg_iters: Conjugate-gradient iterations.
        cg_damping: Added to the Fisher matrix's diagonal.
        fisher_fraction: Share of the query states used for Fisher products, in (0, 1].
        outer_optimizer: `trpo`, or `adam` on the same gradient.
        outer_lr: Learning rate of Adam.
        **kwargs: Those of `MetaLearner`.
    """

    sampling_credit = False

    def __init__(
        self,
        max_kl: float = 0.01,
        cg_iters: int = 10,
        cg_damping: float = 1e-5,
        fisher_fraction: float = 1.0,
        outer_optimizer: Literal["trpo", "adam"] = "trpo",
        outer_lr: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < fisher_fraction <= 1:
            raise ValueError(f"fisher_fraction must lie in (0, 1], got {fisher_fraction}")
        if not 0 < outer_lr < math.inf:
            raise ValueError(f"outer_lr must be positive and finite, got {outer_lr}")
        TrustRegion([torch.zeros(1)], max_kl, cg_iters, cg_damping)  # a mistake shows now
        self.trust_region = {"max_kl": max_kl, "cg_iters": cg_iters, "cg_damping": cg_damping}
        self.fisher_fraction = fisher_fraction
        self.outer_optimizer, self.outer_lr = outer_optimizer, outer_lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.outer_optimizer == "adam":
            return torch.optim.Adam(self.policy.parameters(), lr=self.outer_lr)
        return TrustRegion(self.policy.parameters(), **self.trust_region)

    def objective(
        self, support: list[Experience], adapted: Params, query: Experience, first_order: bool
    ) -> MetaObjective:
        """The outer objective on these episodes."""
        arguments = {
            "policy": self.policy,
            "inner": self.inner,
            "support": [episodes.samples for episodes in support],
            "adapted": adapted,
            "query": query.samples,
            "first_order": first_order,
            "fisher_fraction": self.fisher_fraction,
            "pooled": self.pooled,
        }
        if self.sampling_credit:
            return CreditedObjective(credit_of_tasks(query), **arguments)
        return MetaObjective(**arguments)

    def outer_gradient(
        self, objective: MetaObjective, timer: Timer
    ) -> tuple[Tensor, list[Tensor], dict[str, float]]:
        """Put the gradient into `.grad`; return the loss, the gradient and numbers for the log."""
        with timer("gradient"):
            loss, gradient = objective.gradient(self.theta(), self.outer_optimizer == "trpo")
            norm = as_gradient(list(self.policy.parameters()), gradient)
        return loss, gradient, {"loss_before": float(loss), "gradient_norm": norm}

    def outer_step(self, objective: MetaObjective, loss: Tensor, timer: Timer) -> dict[str, float]:
        """One step of the meta-optimizer from the gradient in `.grad`; return numbers for the log."""
        optimizer = self.meta_optimizer()
        if self.outer_optimizer == "adam":
            optimizer.step()
            after, kl = objective.evaluate(self.theta())
            return {"loss_after": float(after), "kl": float(kl)}
        optimizer.step(
            closure=lambda: objective.evaluate(self.theta()), fisher=objective.fisher_product, loss=loss
        )
        report = cast(TrustRegion, optimizer.optimizer).report
        assert report is not None
        timer.seconds["cg"] += report.seconds_cg
        timer.seconds["line_search"] += report.seconds_line_search
        return {
            "loss_after": report.loss,
            "kl": report.kl,
            "accepted_step_fraction": report.fraction,
            "outer_step_outcome": float(report.outcome),
            "cg_residual": report.cg_residual,
        }


class MAML(TRPOLearner):
    """Second-order MAML: the meta-gradient is differentiated through the inner loop.

    Args:
        curvature_every_n_steps: How often to log what the second-order term contributes; 0 for never. Never
            with `sampling_credit`, a part of the gradient that the term would be compared with.
        sampling_credit: Whether the outer loss credits the support with what it led to (E-MAML; `credit`).
        **kwargs: Those of `TRPOLearner`.
    """

    first_order = False

    def __init__(
        self, curvature_every_n_steps: int = 10, sampling_credit: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if curvature_every_n_steps < 0:
            raise ValueError(f"curvature_every_n_steps must not be negative, got {curvature_every_n_steps}")
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
