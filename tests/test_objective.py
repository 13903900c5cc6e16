"""The whole meta-objective in float64, against a plain implementation and its finite differences."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from helpers import (
    LENGTHS,
    finite_differences,
    flatten,
    make_policy,
    make_samples,
    normal,
    plain_adapt,
    shared,
    task,
    theta_of,
    unflatten,
    valid,
)
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.policy import GaussianMLP
from meta_rl.types import Params, Samples, thin

Loss = Literal["reinforce", "ratio"]
TASKS = range(len(LENGTHS))
RATES = [0.3, 0.2, 0.1]
SUPPORT = [make_samples(seed, lengths) for seed, lengths in ((1, LENGTHS), (2, (4, 12, 8)), (3, (12, 5, 12)))]
QUERY = make_samples(4, (10, 3, 12))


def make_objective(
    policy: GaussianMLP,
    steps: int,
    first_order: bool = False,
    scale: float = 1.0,
    query: Samples = QUERY,
    loss: Loss = "reinforce",
    scale_by_variance: bool = False,
    **arguments: Any,
) -> MetaObjective:
    rates = [scale * rate for rate in RATES]
    inner = InnerLoop(policy, rates, inner_loss=loss, scale_by_variance=scale_by_variance)
    support = SUPPORT[:steps]
    adapted = {name: p.detach() for name, p in inner.replay(shared(policy), support).items()}
    return MetaObjective(policy, inner, support, adapted, query, first_order, **arguments)


def gradient(
    policy: GaussianMLP,
    steps: int,
    first_order: bool = False,
    scale: float = 1.0,
    loss: Loss = "reinforce",
) -> Tensor:
    objective = make_objective(policy, steps, first_order, scale, loss=loss)
    return torch.cat([g.reshape(-1) for g in objective.gradient(theta_of(policy))[1]])


def adapt_all(policy: GaussianMLP, theta: Params, steps: int, loss: Loss = "reinforce") -> list[Params]:
    return [plain_adapt(policy, theta, SUPPORT[:steps], i, RATES[:steps], loss) for i in TASKS]


def with_grad(params: Params) -> Params:
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def plain_loss_and_kl(policy: GaussianMLP, phis: Sequence[Params], old: Sequence[Params]) -> tuple:
    """Mean over tasks of the surrogate loss and of the KL, from the parameters `old` to `phis`."""
    losses, kls = [], []
    for i in TASKS:
        observations, actions, advantages = valid(QUERY, i)
        p = normal(policy, {name: x.detach() for name, x in old[i].items()}, observations)
        q = normal(policy, phis[i], observations)
        ratio = (q.log_prob(actions) - p.log_prob(actions)).sum(-1).exp()
        losses.append(-(ratio * advantages).mean())
        kls.append(kl_divergence(p, q).sum(-1).mean())
    return torch.stack(losses).mean(), torch.stack(kls).mean()


def as_function_of_theta(
    policy: GaussianMLP, steps: int, loss: Loss = "reinforce"
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """theta -> (loss, KL), adapted anew from theta; the old policies are those of the present theta."""
    theta = theta_of(policy)
    old = adapt_all(policy, with_grad(theta), steps, loss)

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x if x.requires_grad else x.clone().requires_grad_()
        return plain_loss_and_kl(policy, adapt_all(policy, unflatten(x, theta), steps, loss), old)

    return f


def as_function_of_a_shift(policy: GaussianMLP, steps: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """x -> (loss, KL) where every task's adapted parameters move by the same x: identity Jacobian."""
    theta = theta_of(policy)
    old = adapt_all(policy, with_grad(theta), steps)

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        shift = unflatten(x, theta)
        phis = [{name: p.detach() + shift[name] for name, p in phi.items()} for phi in old]
        return plain_loss_and_kl(policy, phis, old)

    return f


def dense_fisher(objective: MetaObjective, policy: GaussianMLP) -> Tensor:
    eye = torch.eye(flatten(theta_of(policy)).numel(), dtype=torch.float64)
    return torch.stack([objective.fisher_product(v) for v in eye])


@pytest.mark.parametrize("loss", ["reinforce", "ratio"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_maml_gradient_is_the_finite_difference_of_the_whole_objective(
    policy: GaussianMLP, steps: int, loss: Loss
) -> None:
    f = as_function_of_theta(policy, steps, loss)
    expected = finite_differences(lambda x: f(x)[0], flatten(theta_of(policy)))
    torch.testing.assert_close(gradient(policy, steps, loss=loss), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 3])
def test_maml_with_rates_of_the_variance_agrees_with_what_its_line_search_sees(
    policy: GaussianMLP, steps: int
) -> None:
    """Gradient and curvature of the loss and KL after adaptation with the variance of every trial."""
    theta = theta_of(policy)
    objective = make_objective(policy, steps, scale_by_variance=True)
    grads = torch.cat([g.reshape(-1) for g in objective.gradient(theta)[1]])

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        return objective.evaluate(unflatten(x, theta))

    x = flatten(theta)
    expected = finite_differences(lambda x: evaluate(x)[0], x)
    torch.testing.assert_close(grads, expected, rtol=1e-6, atol=1e-8)
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=x.dtype)
    h = 1e-3  # the KL is 0 at theta: (KL(x + h v) + KL(x - h v)) / h^2 is v^T H v
    curvature = (evaluate(x + h * v)[1] + evaluate(x - h * v)[1]) / h**2
    torch.testing.assert_close(v @ objective.fisher_product(v), curvature, rtol=1e-3, atol=0)


def test_the_line_search_adapts_with_the_ratio_to_the_policy_that_sampled(policy: GaussianMLP) -> None:
    f, objective = as_function_of_theta(policy, 2, "ratio"), make_objective(policy, 2, loss="ratio")
    theta = theta_of(policy)
    objective.gradient(theta)
    trial = flatten(theta) + 0.05
    torch.testing.assert_close(objective.evaluate(unflatten(trial, theta)), f(trial))


def test_maml_gradient_with_relu() -> None:
    policy = make_policy("relu", seed=7)
    kinks = [policy.mean[0](SUPPORT[0].observations)]
    for i, phi in enumerate(adapt_all(policy, with_grad(theta_of(policy)), 1)):
        kinks.append(valid(QUERY, i)[0] @ phi["mean.0.weight"].T + phi["mean.0.bias"])
    assert min(x.abs().min() for x in kinks) > 1e-4  # far enough for steps of 1e-6
    f = as_function_of_theta(policy, 1)
    expected = finite_differences(lambda x: f(x)[0], flatten(theta_of(policy)), step=1e-6)
    torch.testing.assert_close(gradient(policy, 1), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 3])
def test_fomaml_gradient_is_the_mean_gradient_at_the_adapted_parameters(
    policy: GaussianMLP, steps: int
) -> None:
    old = adapt_all(policy, with_grad(theta_of(policy)), steps)
    phis = [with_grad(phi) for phi in old]
    loss, _ = plain_loss_and_kl(policy, phis, old)
    grads = torch.autograd.grad(loss * len(TASKS), [p for phi in phis for p in phi.values()])
    expected = torch.cat([g.reshape(-1) for g in grads]).view(len(TASKS), -1).mean(0)
    torch.testing.assert_close(gradient(policy, steps, first_order=True), expected)


def test_fomaml_gradient_is_the_finite_difference_with_the_identity_jacobian(policy: GaussianMLP) -> None:
    f = as_function_of_a_shift(policy, 3)
    expected = finite_differences(lambda x: f(x)[0], torch.zeros_like(flatten(theta_of(policy))))
    torch.testing.assert_close(gradient(policy, 3, first_order=True), expected, rtol=1e-6, atol=1e-8)


def test_weight_decay_does_not_touch_the_identity_jacobian(policy: GaussianMLP) -> None:
    inner = InnerLoop(policy, 0.1, "sgd", {"weight_decay": 0.5})
    adapted = {name: p.detach() for name, p in inner.replay(shared(policy), SUPPORT[:1]).items()}
    objective = MetaObjective(policy, inner, SUPPORT[:1], adapted, QUERY, first_order=True)
    actual = torch.cat([g.reshape(-1) for g in objective.gradient(theta_of(policy))[1]])
    phis = [with_grad(task(adapted, i)) for i in TASKS]
    loss, _ = plain_loss_and_kl(policy, phis, phis)
    grads = torch.autograd.grad(loss, [p for phi in phis for p in phi.values()])
    expected = torch.cat([g.reshape(-1) for g in grads]).view(len(TASKS), -1).sum(0)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("steps", [1, 3])
def test_both_orders_coincide_for_small_rates_only(policy: GaussianMLP, steps: int) -> None:
    def difference(scale: float) -> float:
        return float((gradient(policy, steps, False, scale) - gradient(policy, steps, True, scale)).norm())

    assert difference(1.0) > 0.05 * float(gradient(policy, steps).norm())
    # Linear in the rate: a tenth of the rate, a tenth of the difference.
    assert difference(1e-4) / difference(1e-3) == pytest.approx(0.1, rel=1e-2)
    assert difference(1e-5) / difference(1e-4) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("steps", [1, 3])
def test_maml_fisher_is_the_dense_hessian_of_the_kl(policy: GaussianMLP, steps: int) -> None:
    f = as_function_of_theta(policy, steps)
    hessian = torch.autograd.functional.hessian(lambda x: f(x)[1], flatten(theta_of(policy)))
    objective = make_objective(policy, steps)
    objective.gradient(theta_of(policy))
    torch.testing.assert_close(dense_fisher(objective, policy), hessian, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 3])
def test_fomaml_fisher_is_the_dense_hessian_with_the_identity_jacobian(
    policy: GaussianMLP, steps: int
) -> None:
    f = as_function_of_a_shift(policy, steps)
    zero = torch.zeros_like(flatten(theta_of(policy)))
    hessian = torch.autograd.functional.hessian(lambda x: f(x)[1], zero)
    objective = make_objective(policy, steps, first_order=True)
    objective.gradient(theta_of(policy))
    torch.testing.assert_close(dense_fisher(objective, policy), hessian, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("first_order", [False, True])
def test_evaluate_at_theta_old(policy: GaussianMLP, first_order: bool) -> None:
    objective = make_objective(policy, 3, first_order)
    loss, _ = objective.gradient(theta_of(policy))
    after, kl = objective.evaluate(theta_of(policy))
    expected = torch.stack([-valid(QUERY, i)[2].mean() for i in TASKS]).mean()  # all ratios are 1
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(after, loss, rtol=0, atol=1e-12)
    assert float(kl) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_evaluate_elsewhere(policy: GaussianMLP, steps: int, first_order: bool) -> None:
    """Even FOMAML's line search adapts from the trial parameters: only derivatives are approximated."""
    theta = theta_of(policy)
    objective = make_objective(policy, steps, first_order)
    objective.gradient(theta)
    other = flatten(theta) + 0.05 * torch.randn(flatten(theta).shape).double()
    actual = objective.evaluate(unflatten(other, theta))
    assert actual[1] > 1e-3
    torch.testing.assert_close(actual, as_function_of_theta(policy, steps)(other))


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("first_order", [False, True])
def test_independent_of_the_chunk_size(policy: GaussianMLP, first_order: bool, fraction: float) -> None:
    theta = theta_of(policy)
    vector = torch.randn(flatten(theta).shape).double()
    other = {name: p + 0.01 for name, p in theta.items()}
    results = []
    for states in (1, 10_000):
        objective = make_objective(policy, 2, first_order, fisher_fraction=fraction, states_per_chunk=states)
        assert len(objective.chunks) == (len(TASKS) if states == 1 else 1)
        loss, grads = objective.gradient(theta)
        results.append([loss, *grads, objective.fisher_product(vector), *objective.evaluate(other)])
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_thinned_fisher_is_symmetric_and_positive(policy: GaussianMLP, first_order: bool) -> None:
    objective = make_objective(policy, 2, first_order, fisher_fraction=0.5)
    objective.gradient(theta_of(policy))
    fisher = dense_fisher(objective, policy)
    torch.testing.assert_close(fisher, fisher.T, rtol=0, atol=1e-12)
    eigenvalues = torch.linalg.eigvalsh(fisher)
    assert eigenvalues[0] > -1e-12
    assert eigenvalues[-1] > 1e-2
    whole = make_objective(policy, 2, first_order)
    whole.gradient(theta_of(policy))
    assert not torch.allclose(fisher, dense_fisher(whole, policy))


@pytest.mark.parametrize("first_order", [False, True])
def test_thinning_to_all_states_changes_nothing(policy: GaussianMLP, first_order: bool) -> None:
    # 0.99 takes the thinned path, yet rounds to every state
    thinned, whole = (make_objective(policy, 2, first_order, fisher_fraction=x) for x in (0.99, 1.0))
    for a, b in zip(thinned.gradient(theta_of(policy)), whole.gradient(theta_of(policy)), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(dense_fisher(thinned, policy), dense_fisher(whole, policy))


@pytest.mark.parametrize("first_order", [False, True])
def test_thinning_is_of_the_query_alone(policy: GaussianMLP, first_order: bool) -> None:
    """Adaptation is differentiated on all of the support, as it is in the gradient."""
    thinned = make_objective(policy, 2, first_order, fisher_fraction=0.25)
    whole = make_objective(policy, 2, first_order, query=thin(QUERY, 0.25))
    for objective in (thinned, whole):
        objective.gradient(theta_of(policy))
    torch.testing.assert_close(dense_fisher(thinned, policy), dense_fisher(whole, policy))


def test_thinning_leaves_loss_gradient_and_kl_alone(policy: GaussianMLP) -> None:
    thinned, whole = (make_objective(policy, 2, fisher_fraction=x) for x in (0.25, 1.0))
    torch.testing.assert_close(thinned.gradient(theta_of(policy)), whole.gradient(theta_of(policy)))
    other = {name: p + 0.01 for name, p in theta_of(policy).items()}
    assert thinned.evaluate(other) == whole.evaluate(other)


def thin_times(mask: list[float], fraction: float) -> list[int]:
    """Which states are chosen: the observation is the state's position."""
    m = torch.tensor([mask])
    position = torch.arange(m.shape[1], dtype=torch.float32)[None]
    x, p = position[..., None], position
    chosen = thin(Samples(x, x, p, m, p, p, p.long()), fraction)
    assert torch.equal(chosen.observations[..., 0], chosen.advantages)
    assert torch.equal(chosen.actions[..., 0], chosen.advantages)
    assert torch.equal(chosen.mask[0], m[0, chosen.advantages[0].long()])
    return chosen.advantages[0].long().tolist()


def test_thin_picks_valid_states_evenly() -> None:
    assert thin_times([1, 1, 1, 1, 1, 1], 0.5) == [0, 2, 4]
    assert thin_times([1, 1, 0, 0, 1, 1, 0, 1, 1, 0], 0.3) == [0, 4, 7]
    assert thin_times([1, 1, 1, 1], 1.0) == [0, 1, 2, 3]
    assert thin_times([1, 1, 1, 1], 0.01) == [0]  # one at the least


def test_thin_takes_padding_only_where_valid_states_run_out() -> None:
    assert sorted(thin_times([0, 1, 0, 1, 0, 1], 0.5)) == [1, 3, 5]
    chosen = thin_times([0, 1, 0, 1, 0, 0], 0.5)
    assert len(set(chosen)) == 3
    assert {1, 3} < set(chosen)


def test_thin_takes_all_time_steps_alike() -> None:
    chosen = torch.tensor(thin_times([1.0] * 2000, 0.1)) % 100  # 20 episodes of 100 steps
    assert torch.histc(chosen.float(), bins=10, min=0, max=100).tolist() == [20.0] * 10
    assert len(chosen.unique()) > 50  # a constant stride takes 10


@pytest.mark.parametrize("fraction", [0.1, 0.37, 0.5, 0.9])
def test_thin_never_repeats_a_state(fraction: float) -> None:
    for length in (1, 17, 500, 1999, 2000):
        chosen = thin_times([1.0] * length + [0.0] * (2000 - length), fraction)
        assert len(set(chosen)) == len(chosen) == round(fraction * 2000)
        assert sum(t < length for t in chosen) == min(length, len(chosen))


class Derived(GaussianMLP):
    """Any other policy, as far as the objective can tell: its derivatives are those of autograd."""


@pytest.mark.parametrize("first_order", [False, True])
def test_another_policy_is_differentiated_by_autograd_with_the_same_result(
    policy: GaussianMLP, first_order: bool
) -> None:
    theta, results = theta_of(policy), []
    vector = torch.randn(flatten(theta).shape, generator=torch.Generator().manual_seed(0)).double()
    other = {name: p + 0.01 for name, p in theta.items()}
    for kind in (GaussianMLP, Derived):
        policy.__class__ = kind
        objective = make_objective(policy, 2, first_order)
        loss, grads = objective.gradient(theta)
        results.append([loss, *grads, objective.fisher_product(vector), *objective.evaluate(other)])
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)
