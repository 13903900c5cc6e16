"""Meta-gradients: by hand, by finite differences of the objectives, by Monte Carlo against all supports."""

from math import exp

import pytest
import torch
from small import close, differences, random_tables, random_theta, within
from torch import Tensor
from torch.nn.functional import logsigmoid

from meta_rl.envs.tabular_mdp import Tables
from meta_rl.exact.meta_gradient import MetaGradient, enumerate_supports, exact_step, sample_meta_gradient
from meta_rl.exact.returns import ExpectedReturn, softmax_policy
from meta_rl.exact.supports import Support, reinforce

POLICY = softmax_policy(2, 2)
OBJECTIVE = ExpectedReturn(random_tables(2, 2), POLICY, 2)
THETA = random_theta(4)
RATE = 0.7


def enumerated(theta: Tensor, episodes: int = 2, gamma: float = 1.0) -> MetaGradient:
    return enumerate_supports(OBJECTIVE, reinforce(POLICY, gamma), theta, RATE, episodes)


def sampled(supports: int, seed: int = 0, batch: int = 1000) -> tuple[MetaGradient, MetaGradient]:
    stream = torch.Generator().manual_seed(seed)
    return sample_meta_gradient(OBJECTIVE, reinforce(POLICY), THETA, RATE, 2, supports, stream, batch)


def test_one_choice_by_hand() -> None:
    """A single action, 1 with probability p = sigmoid(theta) = 1/2; it earns 1, the other one nothing.

    REINFORCE is 1 - p after action 1, and 0 otherwise. With rate 2 theta' is 1 or 0, and
    dtheta'/dtheta = 1 - 2 p (1 - p) = 1/2 or 1.
    """
    one = torch.ones(1, dtype=torch.float64)
    tables = Tables(one, one[None, None].expand(1, 2, 1), torch.tensor([[0.0, 1.0]], dtype=torch.float64))

    def policy(theta: Tensor) -> Tensor:
        return torch.stack([logsigmoid(-theta), logsigmoid(theta)], -1)

    objective, zero = ExpectedReturn(tables, policy, 1), torch.zeros(1, dtype=torch.float64)
    better = 1 / (1 + exp(-1))  # J at theta' = 1
    slope = better * (1 - better)
    result = enumerate_supports(objective, reinforce(policy), zero, 2.0, 1)
    assert result.value.item() == pytest.approx(0.5 * better + 0.5 * 0.5)
    assert result.pathwise.item() == pytest.approx(0.5 * slope * 0.5 + 0.5 * 0.25)
    assert result.credit.item() == pytest.approx(0.5 * 0.5 * better - 0.5 * 0.5 * 0.5)
    assert result.first_order.item() == pytest.approx(0.5 * slope + 0.5 * 0.25)
    # Exact: grad J = 1/4 and the Hessian 0, so theta' = 1/2 and its slope is that of J there.
    half = 1 / (1 + exp(-0.5))
    assert exact_step(objective, zero, 2.0).item() == pytest.approx(half * (1 - half))


def test_the_exact_step_by_finite_differences() -> None:
    def adapted(theta: Tensor) -> Tensor:
        return OBJECTIVE(theta + RATE * differences(OBJECTIVE, theta, 1e-4))

    close(exact_step(OBJECTIVE, THETA, RATE), differences(adapted, THETA, 1e-4), 1e-6)
    unadapted = OBJECTIVE.gradient(THETA)
    assert (exact_step(OBJECTIVE, THETA, RATE) - unadapted).abs().max() > 0.05
    close(exact_step(OBJECTIVE, THETA, 0.0), unadapted, 1e-12)


@pytest.mark.parametrize("episodes", [1, 2])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_both_terms_are_the_derivative_of_the_expectation(episodes: int, gamma: float) -> None:
    result = enumerated(THETA, episodes, gamma)
    expected = differences(lambda theta: enumerated(theta, episodes, gamma).value, THETA)
    close(result.total, expected)
    close(result.pathwise + result.credit, result.total, 1e-15)
    for part in (result.pathwise, result.credit, result.first_order):  # none of them would do alone
        assert (part - expected).abs().max() > 0.02


def test_without_a_step_only_the_gradient_is_left() -> None:
    result = enumerate_supports(OBJECTIVE, reinforce(POLICY), THETA, 0.0, 2)
    expected = OBJECTIVE.gradient(THETA)
    close(result.value, OBJECTIVE(THETA))
    for gradient in (result.pathwise, result.total, result.first_order):
        close(gradient, expected)
    close(result.credit, torch.zeros(4, dtype=torch.float64))


def test_a_fixed_step_has_no_credit_and_the_jacobian_of_its_own() -> None:
    """An estimator that ignores the support: theta' = (1 - alpha) theta, and the pathwise term is all."""
    result = enumerate_supports(OBJECTIVE, lambda theta, support: -theta, THETA, RATE, 2)
    expected = OBJECTIVE.gradient((1 - RATE) * THETA)
    close(result.credit, torch.zeros(4, dtype=torch.float64))
    close(result.first_order, expected)
    close(result.pathwise, (1 - RATE) * expected)


def test_larger_supports_approach_the_exact_step_only_with_credit() -> None:
    """With one step an episode 6 of them can still be listed. The gap of the total shrinks as 1 / K."""
    objective = ExpectedReturn(random_tables(2, 2), POLICY, 1)
    expected = exact_step(objective, THETA, RATE)
    results = {k: enumerate_supports(objective, reinforce(POLICY), THETA, RATE, k) for k in (1, 3, 6)}
    total = {k: (result.total - expected).norm().item() for k, result in results.items()}
    pathwise = {k: (result.pathwise - expected).norm().item() for k, result in results.items()}
    assert total[3] < 0.6 * total[1]
    assert total[6] < 0.6 * total[3]
    assert pathwise[6] > 0.9 * pathwise[1] > 20 * total[6]


def test_monte_carlo_agrees_with_all_supports() -> None:
    mean, error = sampled(20000)
    for estimate, exact, spread in zip(mean, enumerated(THETA), error, strict=True):
        within(estimate, exact, spread)
        assert (spread < 0.02).all()


def test_baselines_of_small_batches_leave_no_bias() -> None:
    """In pairs a baseline that held the support's own return would halve the credit."""
    mean, error = sampled(600, batch=2)
    expected = enumerated(THETA).credit
    within(mean.credit, expected, error.credit)
    assert (expected.abs() > 8 * error.credit).any()


def test_the_baseline_takes_away_the_variance_of_a_common_level() -> None:
    tables = OBJECTIVE.tables._replace(rewards=OBJECTIVE.tables.rewards + 100)
    lifted = ExpectedReturn(tables, POLICY, 2)

    def estimate(theta: Tensor, support: Support) -> Tensor:  # as if rewards were what they were
        return reinforce(POLICY)(theta, support._replace(rewards=support.rewards - 100))

    results = [
        sample_meta_gradient(objective, estimator, THETA, RATE, 2, 500, torch.Generator().manual_seed(0))
        for objective, estimator in ((OBJECTIVE, reinforce(POLICY)), (lifted, estimate))
    ]
    for one, other in zip(results[0].standard_error, results[1].standard_error, strict=True):
        close(one, other, 1e-6)
    close(results[0].mean.credit, results[1].mean.credit)


def test_standard_errors_are_the_spread_of_the_means() -> None:
    runs = [sampled(200, seed, batch=60) for seed in range(60)]
    for part in MetaGradient._fields:
        spread = torch.stack([getattr(mean, part) for mean, _ in runs]).std(0)
        told = torch.stack([getattr(error, part) for _, error in runs]).mean(0)
        ratio = (spread / told).mean().item()  # of 60 values: 1 up to about 0.1
        assert 0.75 < ratio < 1.3, part


def test_sampling_follows_its_generator_and_keeps_to_its_number() -> None:
    for one, same in zip(sampled(50)[0], sampled(50)[0], strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(sampled(50)[0].value, sampled(50, seed=1)[0].value)
    calls = []

    def estimator(theta: Tensor, support: Support) -> Tensor:
        calls.append(support.rewards.shape)
        return reinforce(POLICY)(theta, support)

    sample_meta_gradient(OBJECTIVE, estimator, THETA, RATE, 3, 50, torch.Generator(), batch=20)
    assert calls == [(3, 2), (3, 2)]  # two batches, each support seen as one
    # Without a step every support has the same return, so the mean tells whether their number is the divisor.
    unmoved = sample_meta_gradient(OBJECTIVE, estimator, THETA, 0.0, 3, 51, torch.Generator(), batch=20)
    close(unmoved.mean.value, OBJECTIVE(THETA))


@pytest.mark.parametrize(("key", "value"), [("supports", 1), ("batch", 1)])
def test_impossible_values(key: str, value: int) -> None:
    arguments = {"supports": 10, "batch": 10, key: value}
    with pytest.raises(ValueError, match=f"^{key} must be at least 2"):
        sample_meta_gradient(
            OBJECTIVE, reinforce(POLICY), THETA, RATE, 2, generator=torch.Generator(), **arguments
        )


def test_float32_stays_float32() -> None:
    tables = Tables(*(x.float() for x in OBJECTIVE.tables))
    objective = ExpectedReturn(tables, POLICY, 2)
    result = enumerate_supports(objective, reinforce(POLICY), THETA.float(), RATE, 1)
    assert {x.dtype for x in result} == {torch.float32}
    close(result.total.double(), enumerated(THETA, 1).total, 1e-5)
