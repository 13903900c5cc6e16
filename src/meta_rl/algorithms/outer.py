"""Outer steps on the meta-objective: TRPO, PPO with a KL penalty, Adam."""

from typing import Any, Literal, cast

import torch
from torch import Tensor

from meta_rl.algorithms.base import MetaLearner, Timer, as_gradient, plain_optimizer
from meta_rl.credit import CreditedObjective, credit_of_tasks
from meta_rl.objective import MetaObjective
from meta_rl.proximal import ProximalAdam, ProximalObjective
from meta_rl.trust_region import TrustRegion
from meta_rl.types import Experience, Params


class ObjectiveLearner(MetaLearner):
    """Base of the algorithms that improve a `MetaObjective`. A subclass writes `training_step`.

    Attributes:
        sampling_credit: Whether the objective has E-MAML's credit besides.

    Args:
        max_kl: Trust region of TRPO, in nats per state.
        cg_iters: Conjugate-gradient iterations of TRPO.
        cg_damping: Added to the Fisher matrix's diagonal by TRPO.
        fisher_fraction: Share of the query states used for TRPO's Fisher products, in (0, 1].
        outer_optimizer: `trpo`; `ppo` for several epochs of Adam on the clipped surrogate loss with a penalty
            on the KL (ProMP, with `inner_loss: ratio`); `adam` for one step along the gradient.
        outer_lr: Learning rate of Adam, for `ppo` and `adam`.
        outer_epochs: Steps of `ppo` on the episodes of one iteration.
        clip: Half width of the interval around 1 in which ratios count for `ppo`, in (0, 1).
        kl_target: KL of the policies before adaptation that the penalty of `ppo` aims at, in nats per state.
        kl_penalty: Coefficient of this penalty, at first.
        adaptive_kl_penalty: Whether it is halved or doubled after a step that has missed `kl_target`.
        **kwargs: Those of `MetaLearner`.
    """

    sampling_credit = False

    def __init__(
        self,
        max_kl: float = 0.01,
        cg_iters: int = 10,
        cg_damping: float = 1e-5,
        fisher_fraction: float = 1.0,
        outer_optimizer: Literal["trpo", "ppo", "adam"] = "trpo",
        outer_lr: float = 1e-3,
        outer_epochs: int = 5,
        clip: float = 0.3,
        kl_target: float = 0.01,
        kl_penalty: float = 1.0,
        adaptive_kl_penalty: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < fisher_fraction <= 1:
            raise ValueError(f"fisher_fraction must lie in (0, 1], got {fisher_fraction}")
        if not 0 < clip < 1:
            raise ValueError(f"clip must lie in (0, 1), got {clip}")
        self.trust_region = {"max_kl": max_kl, "cg_iters": cg_iters, "cg_damping": cg_damping}
        self.proximal = {
            "lr": outer_lr,
            "epochs": outer_epochs,
            "kl_target": kl_target,
            "kl_penalty": kl_penalty,
            "adaptive": adaptive_kl_penalty,
        }
        plain_optimizer("adam", [torch.zeros(1)], outer_lr)  # a mistake shows now
        TrustRegion([torch.zeros(1)], **self.trust_region)
        ProximalAdam([torch.zeros(1)], **self.proximal)
        self.fisher_fraction, self.clip = fisher_fraction, clip
        self.outer_optimizer, self.outer_lr = outer_optimizer, outer_lr

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = self.policy.parameters()
        if self.outer_optimizer == "adam":
            return plain_optimizer("adam", parameters, self.outer_lr)
        if self.outer_optimizer == "ppo":
            return ProximalAdam(parameters, **self.proximal)
        return TrustRegion(parameters, **self.trust_region)

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
        if self.outer_optimizer == "ppo":
            return ProximalObjective(self.clip, **arguments)
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
        if isinstance(objective, ProximalObjective):
            return self._proximal_step(objective, timer)
        if self.outer_optimizer == "trpo":
            return self._trust_region_step(objective, loss, timer)
        self.meta_optimizer().step()
        after, kl = objective.evaluate(self.theta())
        return {"loss_after": float(after), "kl": float(kl)}

    def _trust_region_step(self, objective: MetaObjective, loss: Tensor, timer: Timer) -> dict[str, float]:
        optimizer = self.meta_optimizer()
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

    def _proximal_step(self, objective: ProximalObjective, timer: Timer) -> dict[str, float]:
        optimizer = self.meta_optimizer()
        proximal = cast(ProximalAdam, optimizer.optimizer)

        def gradient() -> None:
            as_gradient(list(self.policy.parameters()), objective.gradient_at(self.theta(), proximal.penalty))

        with timer("epochs"):
            optimizer.step(closure=gradient, kl=lambda: objective.kl_of_support(self.theta()))
            after, kl = objective.evaluate(self.theta())
        report = proximal.report
        assert report is not None
        numbers = {"loss_after": float(after), "kl": float(kl)}
        return {**numbers, "kl_of_support": report.kl, "kl_penalty": report.penalty}
