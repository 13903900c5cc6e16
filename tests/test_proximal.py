"""ProMP's outer step: its gradient against finite differences, its optimizer against plain Adam."""

from collections.abc import Callable
from typing import Any

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
from meta_rl.distributions import Gaussian
from meta_rl.inner import InnerLoop
from meta_rl.losses import clipped_loss
from meta_rl.policy import GaussianMLP
from meta_rl.proximal import ProximalAdam, ProximalObjective
from meta_rl.types import Params, Samples

RATES = [0.3, 0.2]
SUPPORT = [make_samples(seed, lengths) for seed, lengths in ((1, LENGTHS), (2, (4, 12, 8)))]
QUERY = make_samples(4, (10, 3, 12))
CLIP, PENALTY = 0.2, 0.7
TASKS = range(len(LENGTHS))


def make(
    policy: GaussianMLP, steps: int, first_order: bool = False, per_chunk: int = 4096
) -> ProximalObjective:
    inner = InnerLoop(policy, RATES, inner_loss="ratio")
    support = SUPPORT[:steps]
    adapted = {name: p.detach() for name, p in inner.replay(shared(policy), support).items()}
    arguments = {"policy": policy, "inner": inner, "support": support, "adapted": adapted, "query": QUERY}
    return ProximalObjective(CLIP, **arguments, first_order=first_order, states_per_chunk=per_chunk)


def plain(policy: GaussianMLP, steps: int) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """theta -> (clipped loss, KL of the support's policies), task by task and without vmap."""
    theta = theta_of(policy)

    def way(params: Params, i: int) -> list[Params]:
        params = {k: v if v.requires_grad else v.clone().requires_grad_() for k, v in params.items()}
        return [plain_adapt(policy, params, SUPPORT[:n], i, RATES[:n], "ratio") for n in range(steps + 1)]

    def policies(params: Params, i: int) -> list[torch.distributions.Normal]:
        data = [*SUPPORT[:steps], QUERY]
        return [normal(policy, p, valid(x, i)[0]) for p, x in zip(way(params, i), data, strict=True)]

    old = [policies(theta, i) for i in TASKS]

    def f(x: Tensor) -> tuple[Tensor, Tensor]:
        losses, kls = [], []
        for i in TASKS:
            *before, query = policies(unflatten(x, theta), i)
            _, actions, advantages = valid(QUERY, i)
            log_ratio = query.log_prob(actions) - old[i][-1].log_prob(actions)
            ratio = log_ratio.sum(-1).exp()
            clipped = torch.where(advantages > 0, ratio.clamp(max=1 + CLIP), ratio.clamp(min=1 - CLIP))
            losses.append(-(clipped * advantages).mean())
            pairs = list(zip(old[i], before or [query], strict=False))
            kls.append(torch.stack([kl_divergence(p, q).sum(-1).mean() for p, q in pairs]).mean())
        return torch.stack(losses).mean().detach(), torch.stack(kls).mean().detach()

    return f


def moved(policy: GaussianMLP, size: float = 0.05) -> Params:
    """Parameters at which some ratios are clipped, and some are not."""
    theta = theta_of(policy)
    noise = torch.randn(
        flatten(theta).numel(), generator=torch.Generator().manual_seed(7), dtype=torch.float64
    )
    return unflatten(flatten(theta) + size * noise, theta)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_gradient_away_from_the_old_policies(steps: int) -> None:
    policy = make_policy()
    objective = make(policy, steps)
    objective.gradient(theta_of(policy))
    theta = moved(policy)
    gradient = torch.cat([g.reshape(-1) for g in objective.gradient_at(theta, PENALTY)])
    f = plain(policy, steps)

    def total(x: Tensor) -> Tensor:
        loss, kl = f(x)
        return loss + PENALTY * kl

    torch.testing.assert_close(gradient, finite_differences(total, flatten(theta)), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(objective.kl_of_support(theta), f(flatten(theta))[1], rtol=1e-9, atol=0)


@pytest.mark.parametrize("first_order", [False, True])
def test_at_the_old_policies_the_penalty_has_no_gradient(first_order: bool) -> None:
    """... and nothing is clipped: `gradient` and `gradient_at` agree."""
    policy = make_policy()
    objective = make(policy, 2, first_order)
    _, first = objective.gradient(theta_of(policy))
    again = objective.gradient_at(theta_of(policy), 1e3)
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_first_order_takes_the_inner_jacobian_for_the_identity() -> None:
    """One inner step: the query's part moves along with theta, the KL is theta's own."""
    policy = make_policy()
    objective = make(policy, 1, first_order=True)
    objective.gradient(theta_of(policy))
    theta = moved(policy)
    gradient = torch.cat([g.reshape(-1) for g in objective.gradient_at(theta, PENALTY)])
    phis = objective.inner.replay({k: v.expand(3, *v.shape).clone() for k, v in theta.items()}, SUPPORT[:1])
    old = objective.adapted

    def total(shift: Tensor) -> Tensor:
        """All adapted parameters and theta move by the same shift."""
        step, sums = unflatten(shift, theta), []
        for i in TASKS:
            observations, actions, advantages = valid(QUERY, i)
            phi = {k: v.detach() + step[k] for k, v in task(phis, i).items()}
            new, before = normal(policy, phi, observations), normal(policy, task(old, i), observations)
            ratio = (new.log_prob(actions) - before.log_prob(actions)).sum(-1).exp()
            gain = torch.minimum(ratio * advantages, ratio.clamp(1 - CLIP, 1 + CLIP) * advantages)
            seen = valid(SUPPORT[0], i)[0]
            ours = normal(policy, {k: v + step[k] for k, v in theta.items()}, seen)
            kl = kl_divergence(normal(policy, theta_of(policy), seen), ours).sum(-1).mean()
            sums.append(PENALTY * kl - gain.mean())
        return torch.stack(sums).mean().detach()

    expected = finite_differences(total, torch.zeros_like(gradient))
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_chunks_change_nothing() -> None:
    policy = make_policy()
    gradients = []
    for per_chunk in (4096, 1):
        objective = make(policy, 2, per_chunk=per_chunk)
        objective.gradient(theta_of(policy))
        gradients.append(flatten(dict(enumerate(objective.gradient_at(moved(policy), PENALTY)))))  # type: ignore
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "slope"),
    [
        (0.4, 1.0, -1.2, False),
        (0.4, -1.0, 1.4918, True),
        (-0.5, 1.0, -0.6065, True),
        (-0.5, -1.0, 0.8, False),
    ],
)
def test_clipping_by_hand(log_ratio: float, advantage: float, loss: float, slope: bool) -> None:
    """A Gaussian of std 1 at action 1 and mean 0: log p = -0.5 + const; a mean m gives -(1 - m)^2 / 2."""
    mean = torch.tensor([[1 - (1 - 2 * log_ratio) ** 0.5]], requires_grad=True)
    zero = torch.zeros(1, 1)
    samples = Samples(zero, torch.ones(1, 1), torch.tensor([advantage]), torch.ones(1), *[torch.zeros(1)] * 3)
    value = clipped_loss(Gaussian(mean, zero), Gaussian(zero, zero), samples, 0.2)
    assert float(value.detach()) == pytest.approx(loss, abs=1e-4)
    (gradient,) = torch.autograd.grad(value, mean)
    assert (gradient.item() != 0) == slope


def optimise(epochs: int, kl: float, steps: int = 1, **settings: Any) -> tuple[Tensor, ProximalAdam]:
    """`steps` steps on x^2 / 2 from 1."""
    x = torch.nn.Parameter(torch.ones(1))
    optimizer = ProximalAdam([x], lr=0.1, epochs=epochs, kl_target=0.01, **settings)

    def closure() -> None:
        x.grad = x.detach().clone()

    for _ in range(steps):
        closure()
        optimizer.step(closure, lambda: torch.tensor(kl))
    return x.detach(), optimizer


def test_a_step_is_so_many_steps_of_adam() -> None:
    x = torch.nn.Parameter(torch.ones(1))
    adam = torch.optim.Adam([x], lr=0.1)
    for _ in range(6):
        x.grad = x.detach().clone()
        adam.step()
    assert torch.equal(optimise(epochs=3, kl=0.01, steps=2)[0], x.detach())


@pytest.mark.parametrize(
    ("kl", "steps", "penalty"),
    [(0.016, 1, 2.0), (0.014, 3, 1.0), (0.007, 3, 1.0), (0.006, 1, 0.5), (0.0, 30, 1e-4), (1.0, 30, 1e4)],
)
def test_the_penalty_follows_the_kl(kl: float, steps: int, penalty: float) -> None:
    optimizer = optimise(1, kl, steps)[1]
    assert optimizer.penalty == pytest.approx(penalty)
    assert optimizer.report is not None
    assert optimizer.report.kl == pytest.approx(kl)
    again = ProximalAdam([torch.nn.Parameter(torch.ones(1))])
    again.load_state_dict(optimizer.state_dict())
    assert again.penalty == optimizer.penalty


@pytest.mark.parametrize("kl", [0.0, 1.0])
def test_a_constant_penalty_stays(kl: float) -> None:
    assert optimise(1, kl, 3, kl_penalty=5e-4, adaptive=False)[1].penalty == 5e-4
    assert optimise(1, kl, 1, kl_penalty=5e-4)[1].penalty == pytest.approx(1e-3 if kl else 2.5e-4)
