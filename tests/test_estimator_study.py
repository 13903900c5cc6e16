"""The study's own mathematics (results/estimators.py): its truth, and how it measures estimates."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import grad

sys.path.append(str(Path(__file__).parents[1] / "results"))

import estimators as study

from meta_rl.exact.meta_gradient import enumerate_supports
from meta_rl.exact.returns import state_values
from meta_rl.exact.supports import Support, visits


def test_the_truth_is_the_sum_over_all_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two states, actions, steps and episodes; the exact values of states are a fixed baseline."""
    for name in ("S", "A", "HIDDEN"):
        monkeypatch.setattr(study, name, 2)
    problem = study.Problem(study.Cell("exact", episodes=2, horizon=2, rate=2.0, problem=3))
    theta = problem.theta
    values = state_values(problem.policy(theta), problem.tables, horizon=2)

    def inner(x: Tensor, support: Support) -> Tensor:
        to_go = support.rewards.flip(-1).cumsum(-1).flip(-1)
        table = visits(support, (to_go - values[torch.arange(2), support.states]) / 2, problem.tables.rewards)
        return grad(lambda y: (problem.policy(y) * table).sum())(x)

    exact = enumerate_supports(problem.objective, inner, theta, problem.rate, episodes=2)
    truth, error = problem.truth(20_000, torch.Generator().manual_seed(0))
    assert error < 0.05
    assert (truth - exact.total).norm() < 4 * error * exact.total.norm()
    assert (exact.pathwise - exact.total).norm() > 8 * error * exact.total.norm()  # the credit counts


def test_errors_of_known_estimates() -> None:
    truth = torch.tensor([3.0, 4.0], dtype=torch.float64)
    noise = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = study.numbers(truth + torch.tensor([1.0, 0.0]) + 2 * noise, truth)
    assert found["bias"] == pytest.approx(1 / 5, rel=0.05)
    assert found["deviation"] == pytest.approx(8**0.5 / 5, rel=0.01)
    assert found["rmse"] ** 2 == pytest.approx(found["bias"] ** 2 + found["deviation"] ** 2, rel=0.01)
    unbiased = study.numbers(truth + 50 * noise[:500], truth)  # noise hides the mean
    assert unbiased["bias"] < 4 * unbiased["bias_noise"]
    assert unbiased["rmse_best_scale"] == pytest.approx(1, abs=0.02)


def test_estimates_of_the_wrong_sign_have_no_best_scale() -> None:
    truth = torch.tensor([3.0, 4.0])
    found = study.numbers(-truth + 0.1 * torch.randn(50, 2), truth)
    assert found["rmse_best_scale"] == pytest.approx(1)
    assert found["cosine"] < -0.9
