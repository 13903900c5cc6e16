"""Conjugate gradients and the trust-region step, on functions with a known answer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from meta_rl.trust_region import Outcome, StepRecord, TrustRegion, conjugate_gradient


def positive_matrix(n: int) -> Tensor:
    root = torch.randn(n, n).double()
    return root @ root.T + torch.eye(n).double()


def test_conjugate_gradient_equals_a_dense_solve() -> None:
    a, b = positive_matrix(8), torch.randn(8).double()
    x, residual = conjugate_gradient(lambda v: a @ v, b, iterations=30, tolerance=1e-28)
    torch.testing.assert_close(x, torch.linalg.solve(a, b))
    torch.testing.assert_close(residual, b - a @ x, rtol=0, atol=1e-10)


def test_one_iteration_is_the_steepest_descent_step() -> None:
    a, b = positive_matrix(5), torch.randn(5).double()
    x, residual = conjugate_gradient(lambda v: a @ v, b, iterations=1)
    torch.testing.assert_close(x, b * (b @ b) / (b @ a @ b))
    torch.testing.assert_close(residual, b - a @ x)


def test_conjugate_gradient_of_zero_asks_for_no_product() -> None:
    def never(v: Tensor) -> Tensor:
        raise AssertionError

    x, residual = conjugate_gradient(never, torch.zeros(3), 10)
    assert not x.any()
    assert not residual.any()


class Quadratic:
    """loss g.x + c |x - start|^2 / 2 and KL (x - start)^T F (x - start) / 2, in two parameter tensors."""

    def __init__(self, curvature: float = 0.0, **arguments: Any) -> None:
        self.fisher, self.gradient, self.curvature = positive_matrix(6), torch.randn(6).double(), curvature
        self.start = torch.randn(6).double()
        self.params = [torch.nn.Parameter(x.clone()) for x in (self.start[:2].view(2, 1), self.start[2:])]
        for p, g in zip(self.params, (self.gradient[:2].view(2, 1), self.gradient[2:]), strict=True):
            p.grad = g.clone()
        self.optimizer = TrustRegion(self.params, **{"cg_damping": 0.0, "cg_iters": 50, **arguments})
        self.evaluations = 0

    @property
    def x(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.params])

    def closure(self) -> tuple[Tensor, Tensor]:
        self.evaluations += 1
        d = self.x - self.start
        return self.gradient @ self.x + 0.5 * self.curvature * d @ d, 0.5 * d @ self.fisher @ d

    def step(self, closure: Callable[[], tuple[Tensor, Tensor]] | None = None) -> Tensor:
        before = self.closure()[0]
        self.evaluations = 0
        return self.optimizer.step(closure or self.closure, lambda v: self.fisher @ v, before)

    @property
    def unchanged(self) -> bool:
        return torch.equal(self.x, self.start)

    @property
    def report(self) -> StepRecord:
        assert self.optimizer.report is not None
        return self.optimizer.report


def closed_form(fisher: Tensor, gradient: Tensor, max_kl: float) -> Tensor:
    direction = -torch.linalg.solve(fisher, gradient)
    return direction * torch.sqrt(2 * max_kl / (direction @ fisher @ direction))


def test_step_has_the_closed_form() -> None:
    # The full step lies on the boundary, where rounding decides; so the boundary of the search is wider.
    problem = Quadratic(max_kl=0.02)
    expected = closed_form(problem.fisher, problem.gradient, 0.02)
    after = problem.step(lambda: (problem.closure()[0], problem.closure()[1] * (1 - 1e-9)))
    torch.testing.assert_close(problem.x - problem.start, expected)
    assert problem.report.outcome is Outcome.ACCEPTED
    assert problem.report.fraction == 1
    assert problem.report.kl == pytest.approx(0.02)
    assert problem.report.loss == float(after) == pytest.approx(float(problem.gradient @ problem.x))
    assert problem.report.cg_residual < 1e-4


def test_damping_is_added_to_the_fisher_matrix() -> None:
    problem = Quadratic(max_kl=0.02, cg_damping=0.5)
    expected = closed_form(problem.fisher + 0.5 * torch.eye(6).double(), problem.gradient, 0.02)
    problem.step()
    assert problem.report.outcome is Outcome.ACCEPTED
    torch.testing.assert_close(problem.x - problem.start, expected)
    assert problem.report.kl < 0.02  # damping shortens the step


def test_backtracking_by_kl() -> None:
    problem = Quadratic(max_kl=0.02)
    full = closed_form(problem.fisher, problem.gradient, 0.02)
    problem.step(lambda: (problem.closure()[0], 1.5 * problem.closure()[1]))
    # 1.5 * 0.8^2 = 0.96 of the boundary
    assert problem.report.fraction == pytest.approx(0.8)
    assert problem.report.kl == pytest.approx(0.02 * 0.96)
    torch.testing.assert_close(problem.x - problem.start, 0.8 * full)


def test_backtracking_by_loss() -> None:
    problem = Quadratic(max_kl=0.02)
    full = closed_form(problem.fisher, problem.gradient, 0.02)
    # Along the step s the loss is -s a + s^2 c / 2 with its zero at 0.7 of the full step.
    problem.curvature = float(-2 * (problem.gradient @ full) / (full @ full) / 0.7)
    problem.step()
    assert problem.report.fraction == pytest.approx(0.8**2)
    torch.testing.assert_close(problem.x - problem.start, 0.64 * full)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((-1e9, 1.0), Outcome.KL_TOO_LARGE),
        ((1e9, 0.0), Outcome.NO_IMPROVEMENT),
        ((float("nan"), 0.0), Outcome.NO_IMPROVEMENT),
        ((-1e9, float("nan")), Outcome.KL_TOO_LARGE),
        ((float("nan"), float("nan")), Outcome.KL_TOO_LARGE),
    ],
    ids=["KL", "loss", "NaN loss", "NaN KL", "NaN"],
)
def test_rejected_steps_leave_the_parameters_bit_identical(
    answer: tuple[float, float], outcome: Outcome
) -> None:
    problem, trials = Quadratic(max_backtracks=4), []

    def closure() -> tuple[Tensor, Tensor]:
        trials.append(problem.x)
        return torch.tensor(answer[0]), torch.tensor(answer[1])

    before = problem.closure()[0]
    after = problem.step(closure)
    assert problem.unchanged
    assert len(trials) == 4
    assert not any(torch.equal(x, problem.start) for x in trials)
    assert problem.report.outcome is outcome
    assert problem.report.fraction == 0
    assert problem.report.kl == 0
    assert problem.report.loss == float(after) == float(before)


def test_an_equal_loss_is_no_improvement() -> None:
    problem = Quadratic()
    before = problem.closure()[0]
    problem.step(lambda: (before, torch.zeros(())))
    assert problem.report.outcome is Outcome.NO_IMPROVEMENT
    assert problem.unchanged


def test_zero_gradient_gives_no_direction() -> None:
    problem = Quadratic()
    for p in problem.params:
        p.grad = torch.zeros_like(p)
    problem.step()
    assert problem.report.outcome is Outcome.NO_DIRECTION
    assert problem.evaluations == 0
    assert problem.unchanged
    assert problem.report.cg_residual == 0


def test_negative_curvature_gives_no_direction() -> None:
    problem = Quadratic()
    problem.fisher = -problem.fisher
    problem.step()
    assert problem.report.outcome is Outcome.NO_DIRECTION
    assert problem.unchanged


def test_steps_can_follow_each_other() -> None:
    problem = Quadratic(cg_damping=1e-3)
    losses = []
    for _ in range(3):
        problem.start = problem.x
        losses.append(float(problem.step()))
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_kl": 0.0},
        {"max_kl": -1.0},
        {"cg_iters": 0},
        {"cg_damping": -1e-5},
        {"backtrack_ratio": 0.0},
        {"backtrack_ratio": 1.0},
        {"max_backtracks": 0},
    ],
)
def test_impossible_values(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        TrustRegion([torch.zeros(1)], **arguments)
