"""The inner loop against finite differences and torch.optim on each task separately."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from helpers import (
    LENGTHS,
    finite_differences,
    flatten,
    make_policy,
    make_samples,
    plain_reinforce,
    shared,
    task,
    theta_of,
    unflatten,
    valid,
)
from meta_rl.errors import UserError
from meta_rl.inner import InnerLoop
from meta_rl.policy import GaussianMLP, distribution, repeat
from meta_rl.types import Params, Samples

TASKS = range(len(LENGTHS))
SUPPORT = [make_samples(seed) for seed in (1, 2, 3)]
ADAM = {"eps_root": 0.0}  # torch.optim.Adam has no such term
DAMPED = {"momentum": 0.9, "dampening": 0.5}  # does not damp the first step of an adaptation


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)  # torchopt's bias correction is computed in the default precision
    yield
    torch.set_default_dtype(torch.float32)


def torch_optim(
    policy: GaussianMLP, support: list[Samples], i: int, make: Any, rates: list[float], **arguments: Any
) -> Params:
    """Adapt to task i alone with an optimizer of torch.optim."""
    params = {name: p.requires_grad_() for name, p in theta_of(policy).items()}
    optimizer = make(params.values(), lr=1.0, **arguments)
    for samples, rate in zip(support, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        plain_reinforce(policy, params, samples, i).backward()
        optimizer.step()
    return {name: p.detach() for name, p in params.items()}


@pytest.mark.parametrize("i", TASKS)
def test_sgd_step_is_theta_minus_alpha_times_the_finite_difference_gradient(
    policy: GaussianMLP, samples: Samples, i: int
) -> None:
    theta = theta_of(policy)

    def loss(x: Tensor) -> Tensor:
        return plain_reinforce(policy, unflatten(x, theta), samples, i)

    adapted = InnerLoop(policy, 0.3).replay(shared(policy), [samples])
    expected = flatten(theta) - 0.3 * finite_differences(loss, flatten(theta))
    torch.testing.assert_close(flatten(task(adapted, i)), expected, rtol=0, atol=1e-9)


def test_a_rate_may_be_a_multiple_of_the_variance(policy: GaussianMLP, samples: Samples) -> None:
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([0.5, 2.0]).log())  # a geometric mean of 1
        policy.log_std -= math.log(2.0)
    scaled = InnerLoop(policy, [0.4, 0.8], scale_by_variance=True).replay(shared(policy), [samples])
    plain = InnerLoop(policy, 0.1).replay(shared(policy), [samples])
    torch.testing.assert_close(dict(scaled), dict(plain))


def test_a_test_adapts_as_training_does_at_rates_of_its_own(policy: GaussianMLP) -> None:
    trained = InnerLoop(policy, 0.1, "adam", ADAM)
    other = InnerLoop(policy, [0.2, 0.3], "adam", ADAM)
    for test, expected in ((trained.at_test(), trained), (trained.at_test([0.2, 0.3]), other)):
        adapted = test.replay(shared(policy), SUPPORT[:2])
        torch.testing.assert_close(dict(adapted), dict(expected.replay(shared(policy), SUPPORT[:2])))
    assert trained.rates == [0.1]


def test_derivatives_go_through_the_variance(policy: GaussianMLP, samples: Samples) -> None:
    theta = theta_of(policy)
    inner = InnerLoop(policy, 0.4, scale_by_variance=True)

    def score(x: Tensor) -> Tensor:
        return flatten(inner.replay(repeat(unflatten(x, theta), 3), [samples])).square().sum()

    x = flatten(theta).requires_grad_()
    (actual,) = torch.autograd.grad(score(x), x)
    torch.testing.assert_close(actual, finite_differences(score, x.detach(), step=1e-6), rtol=1e-5, atol=1e-6)


def test_a_policy_without_a_variance_cannot_scale_by_it() -> None:
    with pytest.raises(UserError, match=r"scale_by_variance: Linear has no method variance"):
        InnerLoop(torch.nn.Linear(1, 1), 0.1, scale_by_variance=True)


def test_the_second_step_is_scaled_by_the_variance_after_the_first(policy: GaussianMLP) -> None:
    first = InnerLoop(policy, 0.4, scale_by_variance=True).replay(shared(policy), SUPPORT[:1])
    both = InnerLoop(policy, 0.4, scale_by_variance=True).replay(shared(policy), SUPPORT[:2])
    for i in TASKS:
        start = {name: value[i].detach().requires_grad_() for name, value in first.items()}
        rate = 0.4 * math.exp(2 * float(start["log_std"].detach().mean()))
        loss = plain_reinforce(policy, start, SUPPORT[1], i)
        grads = torch.autograd.grad(loss, list(start.values()))
        expected = {name: p - rate * g for (name, p), g in zip(start.items(), grads, strict=True)}
        torch.testing.assert_close(flatten(task(both, i)), flatten(expected))


@pytest.mark.parametrize("i", TASKS)
@pytest.mark.parametrize(
    ("name", "arguments", "make", "torch_arguments"),
    [
        ("sgd", {}, torch.optim.SGD, {}),
        ("sgd", {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("sgd", DAMPED, torch.optim.SGD, DAMPED),
        ("adam", ADAM, torch.optim.Adam, {}),
    ],
    ids=["sgd", "momentum", "nesterov", "damped", "adam"],
)
@pytest.mark.parametrize("rates", [[0.1, 0.1, 0.1], [0.3, 0.2, 0.1]], ids=["one rate", "a rate per step"])
def test_three_steps_equal_torch_optim(
    policy: GaussianMLP, name: str, arguments: dict, make: Any, torch_arguments: dict, rates: list, i: int
) -> None:
    inner = InnerLoop(policy, rates, name, arguments)
    adapted = inner.replay(shared(policy), SUPPORT)
    expected = torch_optim(policy, SUPPORT, i, make, rates, **torch_arguments)
    torch.testing.assert_close(flatten(task(adapted, i)), flatten(expected), rtol=0, atol=1e-9)


def test_the_last_rate_serves_all_later_steps(policy: GaussianMLP) -> None:
    short = InnerLoop(policy, [0.3, 0.1]).replay(shared(policy), SUPPORT)
    full = InnerLoop(policy, [0.3, 0.1, 0.1]).replay(shared(policy), SUPPORT)
    other = InnerLoop(policy, [0.3, 0.1, 0.3]).replay(shared(policy), SUPPORT)
    assert torch.equal(flatten(short), flatten(full))
    assert not torch.equal(flatten(short), flatten(other))


def test_adam_by_default_is_close_to_torch_optim(policy: GaussianMLP) -> None:
    """The default eps_root must not distort gradients of ordinary size."""
    adapted = InnerLoop(policy, 0.1, "adam").replay(shared(policy), SUPPORT)
    expected = torch_optim(policy, SUPPORT, 0, torch.optim.Adam, [0.1] * 3)
    torch.testing.assert_close(flatten(task(adapted, 0)), flatten(expected), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("sgd", {}), ("sgd", {"momentum": 0.9}), ("adam", {})],
    ids=["sgd", "momentum", "adam"],
)
def test_three_steps_are_differentiable(policy: GaussianMLP, name: str, arguments: dict) -> None:
    theta = theta_of(policy)
    weights = torch.randn(len(LENGTHS), flatten(theta).numel()).double()

    def score(x: Tensor) -> Tensor:
        adapted = InnerLoop(policy, 0.1, name, arguments).replay(repeat(unflatten(x, theta), 3), SUPPORT)
        return sum((flatten(task(adapted, i)) * weights[i]).sum() for i in TASKS)

    x = flatten(theta).requires_grad_()
    (actual,) = torch.autograd.grad(score(x), x)
    torch.testing.assert_close(actual, finite_differences(score, x.detach(), step=1e-6), rtol=1e-5, atol=1e-6)


def test_adam_is_differentiable_where_a_gradient_is_0() -> None:
    policy = make_policy("relu")
    with torch.no_grad():
        policy.mean[0].bias[0] = -100.0  # a dead unit
    x = flatten(theta_of(policy)).requires_grad_()
    params = repeat(unflatten(x, theta_of(policy)), 3)
    adapted = InnerLoop(policy, 0.1, "adam").replay(params, SUPPORT)
    (gradient,) = torch.autograd.grad(flatten(adapted).sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_log_std_may_stay_fixed(policy: GaussianMLP, name: str) -> None:
    before = shared(policy)
    free = InnerLoop(policy, 0.1, name).replay(before, SUPPORT)
    fixed = InnerLoop(policy, 0.1, name, adapt_log_std=False).replay(before, SUPPORT)
    assert not torch.equal(free["log_std"], before["log_std"])
    assert torch.equal(fixed["log_std"], before["log_std"])
    assert not torch.equal(fixed["mean.0.weight"], before["mean.0.weight"])


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"inner_lr": 0.0}, "inner_lr"),
        ({"inner_lr": -0.1}, "inner_lr"),
        ({"inner_lr": [0.1, -0.1]}, "inner_lr"),
        ({"inner_lr": []}, "inner_lr"),
        ({"inner_lr": float("nan")}, "inner_lr"),
        ({"inner_loss": "ratios"}, "inner_loss must be one of reinforce, ratio"),
        ({"inner_optimizer": "sgdd"}, "inner_optimizer 'sgdd'"),
        ({"inner_optimizer": "apply_updates"}, "inner_optimizer 'apply_updates'"),
        ({"inner_optimizer": "Adam"}, "inner_optimizer 'Adam'"),
        ({"inner_optimizer": "_src"}, "inner_optimizer '_src'"),
        ({"inner_optimizer_args": {"momentun": 0.9}}, "inner_optimizer_args.*momentun"),
        ({"inner_optimizer_args": {"momentum": -1.0}}, "inner_optimizer_args.*momentum"),
    ],
)
def test_impossible_values(arguments: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        InnerLoop(nn.Identity(), **{"inner_lr": 0.1, **arguments})


@pytest.mark.parametrize(("name", "arguments"), [("sgd", DAMPED), ("adam", {})])
def test_nothing_leaks_from_one_adaptation_into_the_next(
    policy: GaussianMLP, name: str, arguments: dict
) -> None:
    inner = InnerLoop(policy, 0.1, name, arguments)
    first = flatten(inner.replay(shared(policy), SUPPORT))
    inner.replay(shared(make_policy(seed=5)), SUPPORT[::-1])
    assert torch.equal(flatten(inner.replay(shared(policy), SUPPORT)), first)


def test_two_adaptations_may_be_interleaved(policy: GaussianMLP) -> None:
    inner = InnerLoop(policy, 0.1, "sgd", DAMPED)
    expected = inner.replay(shared(policy), SUPPORT)
    adapted = inner.start(shared(policy))
    for samples in SUPPORT:
        inner.replay(shared(policy), [samples])  # another adaptation, in between
        adapted = inner.step(adapted, samples)
    assert torch.equal(flatten(adapted.params), flatten(expected))


def test_tasks_do_not_mix(policy: GaussianMLP) -> None:
    together = InnerLoop(policy, 0.1, "adam").replay(shared(policy), SUPPORT)
    for i in TASKS:
        alone = [Samples(*(x[i : i + 1] for x in samples)) for samples in SUPPORT]
        adapted = InnerLoop(policy, 0.1, "adam").replay(shared(policy, 1), alone)
        torch.testing.assert_close(flatten(task(adapted, 0)), flatten(task(together, i)))


def test_distribution_is_the_policy_of_each_task(policy: GaussianMLP, samples: Samples) -> None:
    adapted = InnerLoop(policy, 0.1).replay(shared(policy), [samples])
    out = distribution(policy, adapted, samples.observations)
    assert out.log_std.shape == out.mean.shape == samples.actions.shape
    for i in TASKS:
        mean, log_std = functional_call(policy, task(adapted, i), (valid(samples, i)[0],))
        torch.testing.assert_close(out.mean[i, : LENGTHS[i]], mean)
        torch.testing.assert_close(out.log_std[i, 0], log_std)


@pytest.mark.parametrize("states", [1, 12, 24])
def test_the_size_of_chunks_changes_nothing(
    policy: GaussianMLP, samples: Samples, states: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, inner = shared(policy), InnerLoop(policy, 0.1, "adam", ADAM)

    def adapted() -> Tensor:
        with torch.no_grad():
            return torch.cat([x.flatten() for x in inner.replay(params, [samples, SUPPORT[1]]).values()])

    whole = adapted()
    monkeypatch.setattr("meta_rl.inner.STATES_PER_CHUNK", states)
    torch.testing.assert_close(adapted(), whole, rtol=1e-12, atol=1e-14)


def test_without_gradients_nothing_keeps_a_graph(policy: GaussianMLP, samples: Samples) -> None:
    inner = InnerLoop(policy, 0.1)
    with torch.no_grad():
        params = inner.step(inner.start(shared(policy)), samples).params
    assert not any(value.requires_grad for value in params.values())
