"""E-MAML's credit: against sums over all supports there are, finite differences, and by hand."""

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from helpers import LENGTHS, finite_differences, fit, flatten, make_samples, shared, theta_of, unflatten
from meta_rl.algorithms import FOMAML, MAML, MetaLearner
from meta_rl.credit import CreditedObjective, credit_of_tasks
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, TabularMDP
from meta_rl.exact.meta_gradient import enumerate_supports
from meta_rl.exact.returns import ExpectedReturn, softmax_policy
from meta_rl.exact.supports import all_supports, log_probability, reinforce
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.policy import CategoricalMLP, GaussianMLP, PolicyConfig, repeat
from meta_rl.types import Experience, Params, Samples

CREDIT = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)


def make_objective(
    policy: GaussianMLP, steps: int, first_order: bool, credit: Tensor | None
) -> MetaObjective:
    """On supports that the policy's own parameters of each step might have sampled."""
    inner = InnerLoop(policy, [0.3, 0.2])
    adapted, support = inner.start(shared(policy)), []
    for seed in range(1, steps + 1):
        samples = make_samples(seed)
        samples = samples._replace(log_probs=log_probs(policy, adapted.params, samples))
        support.append(samples)
        adapted = inner.step(adapted, samples)
    phi = {name: x.detach() for name, x in adapted.params.items()}
    arguments = (policy, inner, support, phi, make_samples(9), first_order)
    names = ("policy", "inner", "support", "adapted", "query", "first_order")
    kwargs = dict(zip(names, arguments, strict=True))
    return MetaObjective(**kwargs) if credit is None else CreditedObjective(credit, **kwargs)


def log_probs(policy: GaussianMLP, params: Params, samples: Samples) -> Tensor:
    return policy.forward_tasks(params, samples.observations).log_prob(samples.actions).detach()


def flat(gradient: list[Tensor]) -> Tensor:
    return torch.cat([g.reshape(-1) for g in gradient])


@pytest.mark.parametrize("steps", [1, 2])
def test_gradient_is_the_finite_difference_of_the_loss(policy: GaussianMLP, steps: int) -> None:
    theta, objective = theta_of(policy), make_objective(policy, steps, False, CREDIT)
    loss, gradient = objective.gradient(theta)
    plain_loss, _ = make_objective(policy, steps, False, None).gradient(theta)
    torch.testing.assert_close(loss, plain_loss)  # the credit's part starts from 0
    differences = finite_differences(lambda x: objective.evaluate(unflatten(x, theta))[0], flatten(theta))
    torch.testing.assert_close(flat(gradient), differences, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("first_order", [False, True])
def test_what_it_adds_is_the_credit_times_the_score(policy: GaussianMLP, first_order: bool) -> None:
    theta = theta_of(policy)
    with_it, without = (make_objective(policy, 1, first_order, c) for c in (CREDIT, None))
    added = flat(with_it.gradient(theta)[1]) - flat(without.gradient(theta)[1])
    params = {name: x.requires_grad_() for name, x in theta_of(policy).items()}
    (support,) = with_it.support
    scores = policy.forward_tasks(repeat(params, len(LENGTHS)), support.observations).log_prob(
        support.actions
    )
    total = -(CREDIT * (scores * support.mask).sum(-1)).mean()
    torch.testing.assert_close(added, flat(list(torch.autograd.grad(total, list(params.values())))))
    v = torch.randn(len(added), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(with_it.fisher_product(v), without.fisher_product(v))


def test_it_is_the_part_that_maml_leaves_out() -> None:
    """Over all supports of two episodes, weighed by probability and J(theta'), it is the exact credit."""
    env, policy = TabularMDP(2, 2, 2, mdp_seed=3), softmax_policy(2, 2)
    tables = env.mdp(env.sample_tasks(1, torch.Generator().manual_seed(1)).double()).task(0)
    theta, rate = torch.tensor([0.3, -0.8, 1.1, 0.2], dtype=torch.float64), 0.7
    exact_return, inner_gradient = ExpectedReturn(tables, policy, 2), reinforce(policy)
    exact = enumerate_supports(exact_return, inner_gradient, theta, rate, episodes=2)

    supports = all_supports(tables, 2, 2)  # [256, 2, 2]
    adapted_return = vmap(lambda s: exact_return(theta + rate * inner_gradient(theta, s)))(supports)
    weight = vmap(lambda s: log_probability(policy(theta), tables, s).exp())(supports)
    n = len(weight)
    module = CategoricalMLP(2, 2, PolicyConfig([])).double()
    params = {"logits.0.weight": theta.reshape(2, 2).T.contiguous(), "logits.0.bias": torch.zeros(2).double()}
    module.load_state_dict(params)
    states, actions = supports.states.flatten(1), supports.actions.flatten(1)
    one = torch.ones(n, 4, dtype=torch.float64)
    stored = policy(theta)[states, actions]
    observations = torch.nn.functional.one_hot(states, 2).double()
    samples = Samples(observations, actions[..., None], 0 * one, one, stored, 0 * one, states)
    objective = CreditedObjective(
        n * weight * adapted_return,
        policy=module,
        inner=InnerLoop(module),
        support=[samples],
        adapted=repeat(params, n),
        query=samples,
        first_order=True,
    )
    _, gradient = objective.gradient(theta_of(module))  # type: ignore[arg-type]
    torch.testing.assert_close(-gradient[0].T.flatten(), exact.credit)


def test_credit_by_hand() -> None:
    empty = torch.zeros(3)
    query = Experience(
        samples=make_samples(1),
        scale=torch.tensor([2.0, 1.0, 4.0]),
        returns=torch.tensor([[1.0, 3.0], [5.0, 7.0], [0.0, 2.0]]),  # means 2, 6, 1
        lengths=torch.tensor([[10.0, 10.0], [4.0, 6.0], [5.0, 5.0]]),
        explained_variance=empty,
        saturation=empty,
        entropy=empty,
        diverged=0,
        seconds=0.0,
    )
    # lengths times scales: 20, 5, 20
    expected = torch.tensor([(2 - 3.5) / 12.5, (6 - 1.5) / 20, (1 - 4) / 12.5])
    torch.testing.assert_close(credit_of_tasks(query), expected)
    one = query._replace(scale=query.scale[:1], returns=query.returns[:1], lengths=query.lengths[:1])
    assert float(credit_of_tasks(one)) == 0


def test_by_first_order_every_support_counts_and_moves_as_theta(policy: GaussianMLP) -> None:
    """Two inner steps: the scores of both supports, each at the parameters that sampled it."""
    theta = theta_of(policy)
    with_it, without = (make_objective(policy, 2, True, c) for c in (CREDIT, None))
    added = flat(with_it.gradient(theta)[1]) - flat(without.gradient(theta)[1])
    first, second = with_it.support
    moved = with_it.inner.step(with_it.inner.start(shared(policy)), first).params
    expected = torch.zeros_like(added)
    for params, samples in ((shared(policy), first), (moved, second)):
        leaves = {name: x.detach().clone().requires_grad_() for name, x in params.items()}
        scores = policy.forward_tasks(leaves, samples.observations).log_prob(samples.actions)
        total = -(CREDIT * (scores * samples.mask).sum(-1)).mean()
        grads = torch.autograd.grad(total, list(leaves.values()))
        expected += torch.cat([g.sum(0).reshape(-1) for g in grads])
    torch.testing.assert_close(added, expected)


@pytest.mark.parametrize("algorithm", [MAML, FOMAML])
def test_an_option_of_the_learner(algorithm: type[MetaLearner]) -> None:
    def gradient_norm(credit: bool) -> float:
        learner = algorithm(sampling_credit=credit, num_inner_steps=2, policy=PolicyConfig([4]))
        trainer = fit(learner, RolloutDataModule(ActionReward(), meta_batch_size=4, fast_batch_size=4), 1)
        assert float(trainer.callback_metrics["kl"]) > 0
        return float(trainer.callback_metrics["gradient_norm"])

    assert gradient_norm(True) != gradient_norm(False)
