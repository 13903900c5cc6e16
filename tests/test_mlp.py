"""Written-out derivatives of the MLP policy against autograd, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from helpers import make_policy, make_samples
from meta_rl.distributions import Gaussian
from meta_rl.losses import ratio_loss, reinforce_loss
from meta_rl.mlp import Forward, LossGradient
from meta_rl.mlp_autograd import loss_gradient, outputs_of_tasks
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.types import Params, Samples

N = 3
SHAPES = pytest.mark.parametrize("hidden", [[], [4], [5, 3], [4, 3, 5]])
EVERY = pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "elu"])


def policy_and_params(nonlinearity: Any, hidden: list[int]) -> tuple[GaussianMLP, Params]:
    """A policy whose log_std is partly below its bound, and other parameters for every task."""
    config = PolicyConfig(hidden, nonlinearity, min_std=0.5, normalize_observations=len(hidden) == 2)
    policy = GaussianMLP(2, 2, config, torch.Generator().manual_seed(0)).double()
    noise = torch.Generator().manual_seed(1)
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    params = {k: p + 0.5 * torch.randn(p.shape, generator=noise).double() for k, p in params.items()}
    params["log_std"] = torch.tensor([[-1.0, 0.3], [0.1, -0.2], [-0.9, -0.8]]).double()
    return policy, params


def by_autograd(policy: GaussianMLP, params: Params, observations: Tensor) -> Gaussian:
    def one(own: Params, x: Tensor) -> Gaussian:
        mean, log_std = functional_call(policy, own, (x,))
        return Gaussian(mean, log_std.expand_as(mean))

    return vmap(one)(params, observations)


def like(params: Params, seed: int) -> Params:
    noise = torch.Generator().manual_seed(seed)
    return {name: torch.randn(p.shape, generator=noise).double() for name, p in params.items()}


@EVERY
@SHAPES
def test_pull_back_and_push_are_those_of_autograd(nonlinearity: Any, hidden: list[int]) -> None:
    policy, params = policy_and_params(nonlinearity, hidden)
    x, u = make_samples(2).observations, like(params, 3)
    (outputs, tangent) = torch.func.jvp(lambda p: by_autograd(policy, p, x), (params,), (u,))
    forward = Forward(policy, params, x)
    torch.testing.assert_close(forward.mean, outputs.mean)
    mean, log_std, *_ = forward.push(u)
    torch.testing.assert_close(mean, tangent.mean)
    torch.testing.assert_close(log_std[:, None].expand_as(mean), tangent.log_std)
    g = Gaussian(torch.randn_like(outputs.mean), torch.randn_like(outputs.mean))
    _, pull_back = torch.func.vjp(lambda p: by_autograd(policy, p, x), params)
    for keep in (False, True):
        found, *_ = forward.pull_back(g.mean, g.log_std.sum(1), keep=keep)
        torch.testing.assert_close(found, {name: pull_back(g)[0][name] for name in found})


@EVERY
@SHAPES
@pytest.mark.parametrize("loss", [reinforce_loss, ratio_loss])
def test_gradient_and_hessian_are_those_of_autograd(nonlinearity: Any, hidden: list[int], loss: Any) -> None:
    policy, params = policy_and_params(nonlinearity, hidden)
    samples, u = make_samples(4), like(params, 5)

    def total(p: Params) -> Tensor:
        return vmap(loss)(by_autograd(policy, p, samples.observations), samples).sum()

    expected, product = torch.func.jvp(torch.func.grad(total), (params,), (u,))
    gradient = LossGradient(policy, params, samples, loss)
    found = gradient.hessian_product(u)
    for name in params:
        torch.testing.assert_close(gradient.value[name], expected[name])
        torch.testing.assert_close(found[name], product[name])


@EVERY
def test_autograd_differentiates_through_them_twice(nonlinearity: Any) -> None:
    """J^T u and H u, and their derivatives by u, as the meta-gradient and its Fisher products take them."""
    policy, params = policy_and_params(nonlinearity, [5, 3])
    samples = make_samples(6)
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    x = samples.observations
    pairs = {
        "outputs": (outputs_of_tasks(policy, leaves, x), by_autograd(policy, leaves, x)),
        "gradient": (
            list(loss_gradient(policy, leaves, samples, reinforce_loss).values()),
            plain_gradient(policy, leaves, samples),
        ),
    }
    for pair in pairs.values():
        results = []
        for outputs in pair:
            u = [torch.randn(o.shape, generator=torch.Generator().manual_seed(7)).double() for o in outputs]
            u = [x.requires_grad_() for x in u]
            pulled = torch.autograd.grad(outputs, list(leaves.values()), u, create_graph=True)
            v = list(like(params, 8).values())
            results.append([*pulled, *torch.autograd.grad(pulled, u, v)])
        torch.testing.assert_close(*results)


def plain_gradient(policy: GaussianMLP, leaves: Params, samples: Samples) -> list[Tensor]:
    losses = vmap(reinforce_loss)(by_autograd(policy, leaves, samples.observations), samples)
    return list(torch.autograd.grad(losses.sum(), list(leaves.values()), create_graph=True))


def test_without_gradients_nothing_keeps_a_graph() -> None:
    policy = make_policy()
    params = repeat({name: p.detach() for name, p in policy.named_parameters()}, N)
    with torch.no_grad():
        found = loss_gradient(policy, params, make_samples(1), reinforce_loss)
    assert not any(value.requires_grad for value in found.values())
