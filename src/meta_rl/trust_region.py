"""Trust-region policy optimisation's step as a `torch.optim.Optimizer` (Schulman et al. 2015, appendix C)."""

import math
import time
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters


class Outcome(IntEnum):
    """How a step ended. Everything but ACCEPTED leaves the parameters unchanged."""

    ACCEPTED = 0
    NO_DIRECTION = 1  # zero gradient, or curvature that is not positive along the step
    KL_TOO_LARGE = 2  # the last trial of the line search was outside the trust region
    NO_IMPROVEMENT = 3  # the last trial was inside, but no better


class StepRecord(NamedTuple):
    """What a step did."""

    outcome: Outcome
    fraction: float  # of the full step that was taken; 0 if none
    loss: float  # after the step
    kl: float  # after the step
    cg_residual: float  # |A x - b| / |b|
    seconds_cg: float
    seconds_line_search: float


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float = 1e-10
) -> tuple[Tensor, Tensor]:
    """Solve A x = b for symmetric positive A, given as a product; return x and the residual b - A x.

    Stops early once |b - A x|^2 is at most `tolerance` times |b|^2.
    """
    x, residual = torch.zeros_like(b), b.clone()
    direction, square = b.clone(), b @ b
    enough = tolerance * square
    for _ in range(iterations):
        if square <= enough:
            break
        image = product(direction)
        alpha = square / (direction @ image)
        x += alpha * direction
        residual -= alpha * image
        last, square = square, residual @ residual
        direction = residual + (square / last) * direction
    return x, residual


class TrustRegion(torch.optim.Optimizer):
    """Minimise a loss within a KL ball: x = (F + damping)^-1 (-g), scaled to the ball, with a line search.

    Args:
        params: What to optimise; one group.
        max_kl: Radius of the trust region.
        cg_iters: Conjugate-gradient iterations.
        cg_damping: Added to the Fisher matrix's diagonal.
        backtrack_ratio: Shrinks the step after each failed trial.
        max_backtracks: Trials of the line search.

    Raises:
        ValueError: for values outside their range.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        max_kl: float = 0.01,
        cg_iters: int = 10,
        cg_damping: float = 1e-5,
        backtrack_ratio: float = 0.8,
        max_backtracks: int = 15,
    ) -> None:
        if not 0 < max_kl < math.inf:
            raise ValueError(f"max_kl must be positive and finite, got {max_kl}")
        if cg_iters < 1 or max_backtracks < 1:
            raise ValueError(f"cg_iters and max_backtracks must be >= 1, got {cg_iters} and {max_backtracks}")
        if not 0 <= cg_damping < math.inf:
            raise ValueError(f"cg_damping must be finite and not negative, got {cg_damping}")
        if not 0 < backtrack_ratio < 1:
            raise ValueError(f"backtrack_ratio must lie in (0, 1), got {backtrack_ratio}")
        defaults = {
            "max_kl": max_kl,
            "cg_iters": cg_iters,
            "cg_damping": cg_damping,
            "backtrack_ratio": backtrack_ratio,
            "max_backtracks": max_backtracks,
        }
        super().__init__(params, defaults)
        self.report: StepRecord | None = None

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        closure: Callable[[], tuple[Tensor, Tensor]],
        fisher: Callable[[Tensor], Tensor],
        loss: Tensor,
    ) -> Tensor:
        """One step from the gradient in `.grad`.

        Args:
            closure: Evaluates (loss, KL from the parameters before the step) at the current parameters.
            fisher: Product of the Fisher matrix before the step with a flat vector.
            loss: The loss before the step.

        Returns:
            The loss after the step. Details are in `report`.
        """
        group = self.param_groups[0]
        gradient = parameters_to_vector([p.grad for p in group["params"]])
        start = time.perf_counter()
        x, residual = conjugate_gradient(
            lambda v: fisher(v) + group["cg_damping"] * v, -gradient, group["cg_iters"]
        )
        curvature = x @ (-gradient - residual)  # x^T A x, for A x = b - residual
        norm = gradient.norm()
        middle = time.perf_counter()
        if curvature > 0:
            full_step = x * torch.sqrt(2 * group["max_kl"] / curvature)
            outcome, fraction, after, kl = self._line_search(group, full_step, closure, loss)
        else:
            outcome, fraction, after, kl = Outcome.NO_DIRECTION, 0.0, loss, torch.zeros_like(loss)
        self.report = StepRecord(
            outcome,
            fraction,
            float(after),
            float(kl),
            float(residual.norm() / norm) if norm > 0 else 0.0,
            middle - start,
            time.perf_counter() - middle,
        )
        return after

    @staticmethod
    def _line_search(
        group: dict[str, Any], full_step: Tensor, closure: Callable[[], tuple[Tensor, Tensor]], before: Tensor
    ) -> tuple[Outcome, float, Tensor, Tensor]:
        """Backtrack until the loss improves inside the trust region, else restore the parameters."""
        start = parameters_to_vector(group["params"]).clone()
        outcome = Outcome.NO_IMPROVEMENT
        for trial in range(group["max_backtracks"]):
            fraction = group["backtrack_ratio"] ** trial
            vector_to_parameters(start + fraction * full_step, group["params"])
            loss, kl = closure()
            if loss < before and kl <= group["max_kl"]:
                return Outcome.ACCEPTED, fraction, loss, kl
            # A NaN fails both comparisons above; here it counts as leaving the trust region.
            outcome = Outcome.NO_IMPROVEMENT if kl <= group["max_kl"] else Outcome.KL_TOO_LARGE
        vector_to_parameters(start, group["params"])
        return outcome, 0.0, before, torch.zeros_like(before)
