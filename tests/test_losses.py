"""The losses of one task by hand, and what must hold at the old policy."""

import math
from collections.abc import Callable

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.func import functional_call

from helpers import LENGTHS, normal, plain_reinforce, theta_of, valid
from meta_rl.distributions import Gaussian
from meta_rl.losses import mean_kl, ratio_loss, reinforce_loss, surrogate_loss
from meta_rl.policy import GaussianMLP
from meta_rl.types import Samples

# Two valid states and a padded one; a standard normal of one action.
STANDARD = Gaussian(torch.zeros(3, 1).double(), torch.zeros(3, 1).double())
HAND = Samples(
    observations=torch.zeros(3, 1),
    actions=torch.tensor([[1.0], [2.0], [5.0]]).double(),
    log_probs=torch.tensor([-0.5, -2.0, -12.5]).double() - 0.5 * math.log(2 * math.pi),  # STANDARD's
    advantages=torch.tensor([2.0, -1.0, 7.0]).double(),  # 7: must not count
    mask=torch.tensor([1.0, 1.0, 0.0]).double(),
    values=torch.tensor([0.5, -1.0, 7.0]).double(),
    episodes=torch.tensor([0, 0, 1]),
)


def test_reinforce_by_hand() -> None:
    # log-probabilities -1/2 - c and -2 - c with c = log(2 pi) / 2
    c = 0.5 * math.log(2 * math.pi)
    expected = -(2 * (-0.5 - c) - (-2 - c)) / 2
    assert float(reinforce_loss(STANDARD, HAND)) == pytest.approx(expected)


def test_surrogate_by_hand() -> None:
    # mean 1 instead of 0: ratios exp(1/2) and exp(-1/2 + 2)
    moved = Gaussian(torch.ones(3, 1), torch.zeros(3, 1))
    expected = -(2 * math.exp(0.5) - math.exp(1.5)) / 2
    assert float(surrogate_loss(moved, STANDARD, HAND)) == pytest.approx(expected)


def test_ratio_by_hand() -> None:
    moved = Gaussian(torch.ones(3, 1), torch.zeros(3, 1))
    assert float(ratio_loss(STANDARD, HAND)) == pytest.approx(-0.5)
    torch.testing.assert_close(ratio_loss(moved, HAND), surrogate_loss(moved, STANDARD, HAND))


def test_a_ratio_on_padding_may_overflow() -> None:
    far = torch.tensor([0.0, 0.0, 1e4]).double()[:, None].requires_grad_()
    loss = ratio_loss(
        Gaussian(far, torch.zeros(3, 1)), HAND._replace(log_probs=HAND.log_probs - 1e9 * (1 - HAND.mask))
    )
    (gradient,) = torch.autograd.grad(loss, far)
    assert float(loss.detach()) == pytest.approx(-0.5)
    assert gradient.isfinite().all()


def derivatives(loss: Callable[[Gaussian, Samples], Tensor], samples: Samples) -> tuple[float, float]:
    """The first and second derivative by the mean, at a standard normal."""
    mean = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    value = loss(Gaussian(mean.expand(len(samples.mask), 1), torch.zeros(1)), samples)
    (first,) = torch.autograd.grad(value, mean, create_graph=True)
    (second,) = torch.autograd.grad(first, mean)
    return float(first.detach()), float(second)


def test_inner_losses_have_the_same_gradient_and_another_hessian() -> None:
    # scores 1 and 2, so -(2 * 1 - 2) / 2; reinforce: -(2 * -1 + 1) / 2, ratio: -(2 * (1 - 1) - (4 - 1)) / 2
    assert derivatives(reinforce_loss, HAND) == pytest.approx((0, 0.5))
    assert derivatives(ratio_loss, HAND) == pytest.approx((0, 1.5))


def test_the_hessian_of_the_ratio_is_that_of_the_expected_return_of_an_action() -> None:
    """E[a^3 + a^2] = m^3 + 3 m + m^2 + 1 for a ~ N(m, 1): derivatives 3 and 2 at 0, by exact quadrature."""
    nodes, weights = (torch.from_numpy(x) for x in hermegauss(10))
    returns = nodes**3 + nodes**2
    log_probs = -0.5 * nodes**2 - 0.5 * math.log(2 * math.pi)
    each = len(nodes) * weights / weights.sum()
    one, episodes = torch.ones(10).double(), torch.arange(10)
    samples = Samples(nodes[:, None], nodes[:, None], each * returns, one, log_probs, 0 * one, episodes)
    assert derivatives(ratio_loss, samples) == pytest.approx((-3, -2))
    assert derivatives(reinforce_loss, samples) == pytest.approx((-3, 1))


def test_mean_kl_by_hand() -> None:
    # shifts 1, 2 and, on padding, 9: (1/2 + 2) / 2
    moved = Gaussian(torch.tensor([[1.0], [2.0], [9.0]]), torch.zeros(3, 1))
    assert float(mean_kl(STANDARD, moved, HAND.mask)) == pytest.approx(1.25)


def test_kl_is_summed_over_actions_and_directed() -> None:
    old = Gaussian(torch.zeros(1, 3), torch.zeros(1, 3))
    wide = Gaussian(torch.zeros(1, 3), torch.full((1, 3), math.log(2)))
    one = math.log(2) + 1 / 8 - 1 / 2
    assert float(mean_kl(old, wide, torch.ones(1))) == pytest.approx(3 * one)


def test_ratio_is_1_and_kl_0_at_the_old_policy() -> None:
    assert float(surrogate_loss(STANDARD, STANDARD, HAND)) == pytest.approx(-0.5)  # the mean advantage
    assert float(mean_kl(STANDARD, STANDARD, HAND.mask)) == 0


@pytest.mark.parametrize("i", range(len(LENGTHS)))
def test_surrogate_has_the_gradient_of_reinforce_at_the_old_policy(
    policy: GaussianMLP, samples: Samples, i: int
) -> None:
    one = Samples(*(x[i] for x in samples))
    theta = {name: p.requires_grad_() for name, p in theta_of(policy).items()}
    out = functional_call(policy, theta, (one.observations,))
    old = Gaussian(*(x.detach() for x in out))
    surrogate = torch.autograd.grad(surrogate_loss(out, old, one), list(theta.values()), retain_graph=True)
    reinforce = torch.autograd.grad(reinforce_loss(out, one), list(theta.values()))
    torch.testing.assert_close(surrogate, reinforce)


@pytest.mark.parametrize("i", range(len(LENGTHS)))
def test_against_plain_losses_without_padding(policy: GaussianMLP, samples: Samples, i: int) -> None:
    one, theta = Samples(*(x[i] for x in samples)), theta_of(policy)
    other = {name: p + 0.1 for name, p in theta.items()}
    old, new = (functional_call(policy, p, (one.observations,)) for p in (theta, other))
    observations, actions, advantages = valid(samples, i)
    p, q = normal(policy, theta, observations), normal(policy, other, observations)
    ratio = (q.log_prob(actions) - p.log_prob(actions)).sum(-1).exp()
    torch.testing.assert_close(reinforce_loss(old, one), plain_reinforce(policy, theta, samples, i))
    torch.testing.assert_close(surrogate_loss(new, old, one), -(ratio * advantages).mean())
    kl = torch.distributions.kl_divergence(p, q).sum(-1).mean()
    torch.testing.assert_close(mean_kl(old, new, one.mask), kl)
