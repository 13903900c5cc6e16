"""The Gaussian policy against numbers worked by hand, torch.distributions and derivatives."""

import math
from typing import Any

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence
from torch.func import functional_call

from meta_rl.distributions import Gaussian
from meta_rl.policy import GaussianMLP, PolicyConfig, distribution


def gaussian(mean: list[float], std: list[float]) -> Gaussian:
    return Gaussian(torch.tensor(mean).double(), torch.tensor(std).double().log())


def independent(g: Gaussian) -> Independent:
    return Independent(Normal(g.mean, g.log_std.exp().expand_as(g.mean)), 1)


def random_gaussian() -> Gaussian:
    return Gaussian(torch.randn(5, 3).double(), torch.randn(3).double() * 0.5)


def test_log_prob_by_hand() -> None:
    # z = (1 - 0) / 2 and (3 - 1) / 1: -1/8 - 2 - log 2 - log(2 pi)
    actual = gaussian([0, 1], [2, 1]).log_prob(torch.tensor([1.0, 3.0]).double())
    assert float(actual) == pytest.approx(-0.125 - 2 - math.log(2) - math.log(2 * math.pi))


def test_kl_by_hand_is_summed_over_actions() -> None:
    # log(s2/s1) + (s1^2 + (m1-m2)^2) / (2 s2^2) - 1/2: log 2 + 2/8 - 1/2 and 0 + 10/2 - 1/2
    kl = gaussian([0, 0], [1, 1]).kl(gaussian([1, 3], [2, 1]))
    assert float(kl) == pytest.approx(math.log(2) + 0.25 - 0.5 + 4.5)


def test_the_variance_is_a_geometric_mean_above_its_bound() -> None:
    policy = GaussianMLP(1, 2, PolicyConfig(min_std=0.1))
    log_std = torch.tensor([[0.5, 2.0], [0.01, 10.0]]).log()
    torch.testing.assert_close(policy.variance({"log_std": log_std}), torch.tensor([1.0, 1.0]))


def test_kl_is_directed() -> None:
    p, q = gaussian([0], [1]), gaussian([0], [2])
    assert float(p.kl(q)) == pytest.approx(math.log(2) + 1 / 8 - 1 / 2)
    assert float(q.kl(p)) == pytest.approx(-math.log(2) + 2 - 1 / 2)
    assert float(p.kl(p)) == 0


def test_entropy_by_hand() -> None:
    # 1/2 log(2 pi e) = 1.4189385 per component
    assert float(gaussian([7, -7], [1, math.e]).entropy()) == pytest.approx(2 * 1.4189385332 + 1)


def test_agrees_with_torch_distributions() -> None:
    p, q, actions = random_gaussian(), random_gaussian(), torch.randn(5, 3).double()
    torch.testing.assert_close(p.log_prob(actions), independent(p).log_prob(actions))
    torch.testing.assert_close(p.kl(q), kl_divergence(independent(p), independent(q)))
    torch.testing.assert_close(p.entropy(), independent(p).entropy()[0])


def test_fisher_is_the_hessian_of_the_kl() -> None:
    old = gaussian([0.3, -1.0], [0.5, 2.0])

    def kl(x: torch.Tensor) -> torch.Tensor:
        return old.kl(Gaussian(x[:2], x[2:]))

    hessian = torch.autograd.functional.hessian(kl, torch.cat(old))
    products = [torch.cat(old.fisher(Gaussian(v[:2], v[2:]))) for v in torch.eye(4).double()]
    torch.testing.assert_close(torch.stack(products), hessian)


def test_min_std_bounds_the_standard_deviation() -> None:
    policy = GaussianMLP(1, 2, PolicyConfig([3], init_std=1.0, min_std=0.1))
    with torch.no_grad():
        policy.log_std.copy_(torch.tensor([-50.0, math.log(0.2)]))
    torch.testing.assert_close(policy(torch.zeros(1)).log_std.exp(), torch.tensor([0.1, 0.2]))


def test_initial_policy() -> None:
    policy = GaussianMLP(3, 2, PolicyConfig([8, 8], init_std=0.5), torch.Generator().manual_seed(3))
    again = GaussianMLP(3, 2, PolicyConfig([8, 8], init_std=0.5), torch.Generator().manual_seed(3))
    out = policy(torch.zeros(4, 5, 3))
    assert out.mean.shape == (4, 5, 2)
    assert out.log_std.shape == (2,)
    assert not out.mean.any()  # biases start at 0
    torch.testing.assert_close(out.log_std.exp(), torch.full((2,), 0.5))
    assert all(torch.equal(p, q) for p, q in zip(policy.parameters(), again.parameters(), strict=True))


def test_output_gain_scales_the_last_layer_alone() -> None:
    plain, small = (
        GaussianMLP(3, 2, PolicyConfig([8], output_gain=g), torch.Generator().manual_seed(3)).state_dict()
        for g in (1.0, 0.01)
    )
    for name, weight in plain.items():
        torch.testing.assert_close(small[name], weight * (0.01 if name == "mean.2.weight" else 1))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"hidden_sizes": (8, 0)}, "hidden_sizes"),
        ({"init_std": -1.0}, "init_std"),
        ({"min_std": 0.0}, "min_std"),
        ({"output_gain": 0.0}, "output_gain"),
    ],
)
def test_impossible_values(arguments: dict, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        PolicyConfig(**arguments)


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh", "elu"])
@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)])
def test_forward_tasks_is_forward_with_the_parameters_of_every_task(
    nonlinearity: Any, hidden: tuple[int, ...]
) -> None:
    policy = GaussianMLP(3, 2, PolicyConfig(list(hidden), nonlinearity, min_std=0.5)).double()
    params = {name: torch.randn(4, *p.shape).double() for name, p in policy.named_parameters()}
    params["log_std"] = torch.tensor([[-1.0, 1.0], [0.0, -0.7], [-9.0, -9.0], [2.0, 0.25]]).double()
    observations = torch.randn(4, 7, 3).double()
    actual = policy.forward_tasks(params, observations)
    for i in range(4):
        own = {name: value[i] for name, value in params.items()}
        expected = functional_call(policy, own, (observations[i],))
        torch.testing.assert_close(actual.mean[i], expected.mean, rtol=1e-12, atol=1e-12)
        assert torch.equal(actual.log_std[i, 0], expected.log_std)
    bound = math.log(0.5)
    assert actual.log_std[:, 0].tolist() == [[bound, 1], [0, bound], [bound, bound], [2, 0.25]]
    whole = distribution(policy, params, observations)
    assert torch.equal(whole.mean, actual.mean)
    assert torch.equal(whole.log_std, actual.log_std.expand_as(actual.mean))
