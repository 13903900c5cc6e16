"""The linear baseline against a ridge solve per task in numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from meta_rl import baseline
from meta_rl.baseline import RIDGE, features, fit_linear_baseline, predict

N, K, T, OBS = 3, 4, 6, 2
LENGTHS = torch.tensor([[6, 6, 6, 6], [3, 1, 6, 2], [2, 2, 5, 4]])
MASK = (torch.arange(T) < LENGTHS[..., None]).double()


def data() -> tuple[Tensor, Tensor]:
    return torch.randn(N, K, T, OBS).double(), torch.randn(N, K, T).double() * MASK


def fit(observations: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    return fit_linear_baseline(features(observations), returns, mask)


def values_of(coefficients: Tensor, observations: Tensor) -> Tensor:
    return predict(coefficients, features(observations))


def ridge_solve(observations: Tensor, returns: Tensor, mask: Tensor) -> np.ndarray:
    """Ridge regression of one task: least squares on rows augmented by sqrt(ridge) times the identity."""
    rows = []
    targets = []
    for k in range(observations.shape[0]):
        for t in range(int(mask[k].sum())):
            o = np.clip(observations[k, t].numpy(), -10, 10)
            rows.append([*o, *o**2, 1.0, t / 100, (t / 100) ** 2, (t / 100) ** 3])
            targets.append(float(returns[k, t]))
    x = np.array(rows)
    augmented = np.vstack([x, np.sqrt(RIDGE) * np.eye(x.shape[1])])
    return np.linalg.lstsq(augmented, np.array(targets + [0.0] * x.shape[1]), rcond=None)[0]


def test_features_by_hand() -> None:
    actual = features(torch.tensor([[2.0, -30.0], [0.5, 0.0]]))
    expected = [[2, -10, 4, 100, 1, 0, 0, 0], [0.5, 0, 0.25, 0, 1, 0.01, 1e-4, 1e-6]]
    torch.testing.assert_close(actual, torch.tensor(expected).double())
    timeless = features(torch.tensor([[2.0, -30.0], [0.5, 0.0]]), time=False)
    torch.testing.assert_close(timeless, actual[:, :5])


def test_one_ridge_solve_per_task() -> None:
    observations, returns = data()
    observations = observations * 8  # some beyond the clipping
    actual = fit(observations, returns, MASK)
    for i in range(N):
        expected = torch.from_numpy(ridge_solve(observations[i], returns[i], MASK[i]))
        torch.testing.assert_close(actual[i], expected, rtol=1e-6, atol=1e-8)
        # What the ill-conditioned coefficients predict is known to far more digits.
        values = values_of(torch.stack([actual[i], expected]), observations[i].expand(2, -1, -1, -1))
        torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-9)


def test_exact_on_what_the_features_can_express() -> None:
    observations = torch.randn(1, 10, 20, 1).double()
    time = torch.arange(20).double() / 100
    returns = 3 * observations[..., 0] - observations[..., 0].square() + 5 * time + 2
    coefficients = fit(observations, returns, torch.ones_like(returns))
    torch.testing.assert_close(values_of(coefficients, observations), returns, atol=1e-3, rtol=0)


def test_padding_is_not_counted() -> None:
    observations, returns = data()
    expected = fit(observations, returns, MASK)
    garbage = (1 - MASK) * 1e3
    actual = fit(observations + garbage[..., None], returns + garbage, MASK)
    torch.testing.assert_close(actual, expected)


def test_tasks_are_independent() -> None:
    observations, returns = data()
    together = fit(observations, returns, MASK)
    for i in range(N):
        alone = fit(observations[i : i + 1], returns[i : i + 1], MASK[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


def test_float32_data_is_solved_in_float64() -> None:
    observations, returns = data()
    rough = (observations.float(), returns.float(), MASK.float())
    coefficients = fit(*rough)
    assert coefficients.dtype == torch.float64
    exact = fit(rough[0].double(), rough[1].double(), MASK)
    torch.testing.assert_close(coefficients, exact, rtol=1e-9, atol=1e-9)


def test_constant_features_and_one_step() -> None:
    observations = torch.full((2, 5, 1, 1), 10.0).double()  # 10, 100, 0, 0, 0, 1: rank 1
    returns = torch.tensor([1.0, 4.0]).double()[:, None, None].expand(2, 5, 1)
    coefficients = fit(observations, returns, torch.ones(2, 5, 1).double())
    assert coefficients.isfinite().all()
    torch.testing.assert_close(values_of(coefficients, observations), returns.clone(), rtol=1e-4, atol=0)


def test_singular_normal_equations_raise_their_own_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "RIDGE", 1e-17)  # lost beside a Gram matrix of size 1e5
    observations, returns = torch.full((2, 5, T, OBS), 10.0).double(), torch.randn(2, 5, T).double()
    observations[1] = torch.randn(5, T, OBS).double()
    mask = torch.ones(2, 5, T).double()
    gram = torch.einsum("nktf,nktg->nfg", features(observations), features(observations))
    failed = torch.linalg.cholesky_ex(gram + 1e-17 * torch.eye(2 * OBS + 4)).info
    assert failed.bool().tolist() == [True, False]  # the case under test
    coefficients = fit(observations, returns, mask)
    # Still a least-squares fit: no worse than the constant that is one of its features.
    residuals = values_of(coefficients, observations) - returns
    assert residuals[0].square().mean() <= returns[0].var(correction=0)
    alone = fit(observations[1:], returns[1:], mask[1:])
    torch.testing.assert_close(coefficients[1:], alone, rtol=1e-9, atol=0)


def test_prediction_by_hand() -> None:
    coefficients = torch.tensor([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0]]).double()
    observations = torch.tensor([[[[2.0], [-1.0]]]])
    torch.testing.assert_close(values_of(coefficients, observations), torch.tensor([[[13.0, 4.0]]]).double())


def test_long_observations_have_few_features_that_tell_as_much() -> None:
    size = baseline.MOST_OBSERVED + 100
    means = (
        torch.randn(1, 8, 50, 3).double() @ torch.randn(3, size).double()
    )  # of three numbers, as a picture
    x = features(means * 40)
    assert x.shape == (1, 8, 50, 2 * baseline.PROJECTED + 4)
    targets = means[..., :5].sum(-1)
    mask = torch.ones(1, 8, 50).double()
    values = predict(fit_linear_baseline(x[:, :4], targets[:, :4], mask[:, :4]), x)[
        :, 4:
    ]  # of other episodes
    assert (values - targets[:, 4:]).var() < 0.05 * targets.var()
    assert torch.equal(x, features(means * 40))
