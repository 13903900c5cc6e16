"""Meta-SGD: the learned rates' part of the meta-gradient, and that they survive."""

from typing import Any

import pytest
import torch

from helpers import (
    LENGTHS,
    finite_differences,
    fit,
    flatten,
    make_data,
    make_policy,
    make_samples,
    record_logs,
    unflatten,
)
from meta_rl.algorithms import MAML, MetaSGD, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.envs import Bandit
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.policy import GaussianMLP, repeat
from meta_rl.rates import RATES, LearnedRates, acting, rate_name
from meta_rl.types import Params

POLICY = PolicyConfig(hidden_sizes=[8], nonlinearity="tanh")
SUPPORT = [make_samples(seed, LENGTHS) for seed in (1, 2)]
QUERY = make_samples(4, LENGTHS)


def policy_with_rates() -> GaussianMLP:
    policy = make_policy()
    policy.rates = LearnedRates(policy)
    stream = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in policy.rates.parameters():
            p += 0.5 * torch.randn(p.shape, generator=stream, dtype=p.dtype)
    return policy.double()


def theta_of(policy: GaussianMLP) -> Params:
    return {name: p.detach().clone() for name, p in policy.named_parameters()}


@pytest.mark.parametrize("steps", [1, 2])
def test_every_update_is_multiplied_by_its_own_factor(steps: int) -> None:
    policy = policy_with_rates()
    theta = repeat(theta_of(policy), len(LENGTHS))
    inner = InnerLoop(policy, [0.3, 0.1])
    adapted = inner.replay(theta, SUPPORT[:1])
    plain = make_policy()
    moved = InnerLoop(plain, [0.3]).replay(acting(theta), SUPPORT[:1])
    for name, value in acting(theta).items():
        factor = theta[rate_name(name)]
        torch.testing.assert_close(adapted[name], value + factor * (moved[name] - value))
        assert torch.equal(adapted[rate_name(name)], factor)  # adaptation leaves the rates alone


def objective(policy: GaussianMLP, steps: int, first_order: bool) -> MetaObjective:
    inner = InnerLoop(policy, [0.3, 0.2])
    adapted = inner.replay(repeat(theta_of(policy), len(LENGTHS)), SUPPORT[:steps])
    adapted = {name: x.detach() for name, x in adapted.items()}
    return MetaObjective(policy, inner, SUPPORT[:steps], adapted, QUERY, first_order)


@pytest.mark.parametrize("steps", [1, 2])
def test_second_order_gradient_is_the_finite_difference(steps: int) -> None:
    policy = policy_with_rates()
    theta = theta_of(policy)
    whole = objective(policy, steps, first_order=False)
    gradient = flatten(dict(zip(theta, whole.gradient(theta)[1], strict=True)))
    expected = finite_differences(lambda x: whole.evaluate(unflatten(x, theta))[0], flatten(theta))
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-8)


def test_first_order_gradient_by_hand() -> None:
    """d phi / d theta = 1 and d phi / d factor = -inner_lr * grad L(theta), for a single step."""
    policy = policy_with_rates()
    theta = theta_of(policy)
    whole = objective(policy, 1, first_order=True)
    gradient = dict(zip(theta, whole.gradient(theta)[1], strict=True))

    plain = MetaObjective(make_policy(), InnerLoop(make_policy()), [], acting(whole.adapted), QUERY)
    leaves, outputs = plain._forward(acting(theta), plain._chunks()[0])
    _, cotangents = plain._loss_and_cotangents(outputs, plain._chunks()[0])
    of_tasks = dict(zip(acting(theta), torch.autograd.grad(outputs, leaves, cotangents), strict=True))
    updates = InnerLoop(make_policy(), [0.3]).replay(acting(repeat(theta, len(LENGTHS))), SUPPORT[:1])
    for name, by_phi in of_tasks.items():
        torch.testing.assert_close(gradient[name], by_phi.mean(0), rtol=1e-9, atol=1e-12)
        expected = (by_phi * (updates[name] - theta[name])).mean(0)
        torch.testing.assert_close(gradient[rate_name(name)], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_fisher_products_are_those_of_the_whole_map(first_order: bool) -> None:
    policy = policy_with_rates()
    theta = theta_of(policy)
    whole = objective(policy, 1, first_order)
    whole.gradient(theta)
    v = torch.randn(flatten(theta).numel(), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    product = whole.fisher_product(v)
    assert product @ v > 0
    if not first_order:  # the KL is its quadratic form
        twice = 2 * whole.evaluate(unflatten(flatten(theta) + 1e-4 * v, theta))[1] / 1e-8
        torch.testing.assert_close(product @ v, twice, rtol=1e-2, atol=0)


def make(cls: type[MAML] = MetaSGD, **arguments: Any) -> MAML:
    return cls(**{"inner_lr": 0.3, "policy": POLICY, "curvature_every_n_steps": 0, **arguments})


@pytest.mark.parametrize("first_order", [False, True])
def test_learns_to_adapt(first_order: bool) -> None:
    learner = make(first_order=first_order)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(Bandit(), meta_batch_size=20, fast_batch_size=20), 30)
    returns = [sum(r[name] for r in records[-3:]) / 3 for name in ("return_pre", "return_post")]
    assert returns[1] > returns[0] + 0.1
    factors = {name: p for name, p in learner.theta().items() if name.startswith(RATES)}
    # The bandit shows nothing, so that the first layer's weights do not matter.
    assert {name for name, p in factors.items() if (p == 1).all()} == {"rates.mean_0_weight"}


def test_at_first_it_is_maml() -> None:
    logs = []
    for cls in (MAML, MetaSGD):
        learner = make(cls)
        logs.append(record_logs(learner))
        fit(learner, make_data(), 1)
    (maml,), (ours,) = logs
    assert ours["return_post"] == pytest.approx(maml["return_post"], rel=1e-6)
    assert ours["gradient_norm"] > maml["gradient_norm"]
