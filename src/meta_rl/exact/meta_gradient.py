"""The meta-gradients of one task after a single inner step of rate alpha, theta' = theta + alpha g.

With the exact gradient g = grad J, the meta-gradient is that of J(theta + alpha grad J(theta)). With an
estimate g(theta, tau) from a support tau ~ p_theta it is that of an expectation, a sum of two terms:

    d/dtheta E[J(theta')] = E[(I + alpha dg/dtheta)^T grad J(theta')] + E[J(theta') grad log p_theta(tau)]
                            pathwise                                    credit

The first is the expectation of what MAML computes for RL (Finn et al. 2017, algorithm 3), the second the
credit of the support's sampling, which MAML leaves out (Stadie et al. 2018, E-MAML; Rothfuss et al. 2019,
section 4). FOMAML's expectation is E[grad J(theta')].
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, vjp, vmap

from meta_rl.exact.returns import ExpectedReturn
from meta_rl.exact.supports import (
    Estimator,
    Support,
    all_supports,
    log_likelihood,
    log_probability,
    sample_supports,
)


class MetaGradient(NamedTuple):
    """The objective E[J(theta')], its gradient and the parts of it, and the first-order approximation."""

    value: Tensor  # [] E[J(theta')]
    pathwise: Tensor  # [D] E[(I + alpha dg/dtheta)^T grad J(theta')]
    credit: Tensor  # [D] E[J(theta') grad log p_theta(tau)]
    total: Tensor  # [D] pathwise + credit: the gradient of `value`
    first_order: Tensor  # [D] E[grad J(theta')]


class Estimate(NamedTuple):
    """A Monte Carlo estimate of all parts of a meta-gradient."""

    mean: MetaGradient
    standard_error: MetaGradient  # of every coordinate of the mean


def exact_step(objective: ExpectedReturn, theta: Tensor, rate: float) -> Tensor:
    """The gradient of J(theta + rate * grad J(theta)) with respect to theta: [D].

    That is (I + rate * Hessian) grad J(theta'). With an unbiased estimator `MetaGradient.total` tends to it
    as the number of episodes of a support grows.
    """
    return grad(lambda start: objective(start + rate * objective.gradient(start)))(theta)


def enumerate_supports(
    objective: ExpectedReturn, estimator: Estimator, theta: Tensor, rate: float, episodes: int
) -> MetaGradient:
    """The meta-gradient for supports of `episodes` episodes, as a sum over all supports that there are.

    Args:
        objective: J of one task.
        estimator: From theta [D] and a support to the inner gradient [D].
        theta: [D].
        rate: alpha; the inner step goes uphill.
        episodes: K.

    Raises:
        ValueError: if there are too many supports, (S * A)^(T * K), to list.
    """
    supports = all_supports(objective.tables, objective.horizon, episodes)

    def weighted(support: Support) -> tuple[Tensor, ...]:
        value, pathwise, first_order, score = _terms(objective, estimator, theta, rate, support)
        weight = log_probability(objective.policy(theta), objective.tables, support).exp()
        return tuple(weight * term for term in (value, pathwise, value * score, first_order))

    terms = vmap(weighted, chunk_size=4096)(supports)
    value, pathwise, credit, first_order = (term.sum(0) for term in terms)
    return MetaGradient(value, pathwise, credit, pathwise + credit, first_order)


def sample_meta_gradient(
    objective: ExpectedReturn,
    estimator: Estimator,
    theta: Tensor,
    rate: float,
    episodes: int,
    supports: int,
    generator: torch.Generator,
    batch: int = 1000,
) -> Estimate:
    """The meta-gradient by Monte Carlo over supports; J and its gradient at theta' are exact for each.

    From J(theta') in the credit term a baseline is subtracted, the mean over the other supports of the batch.
    That leaves the mean as it is: the others are independent of this support, and its score, the gradient of
    log p_theta(tau), has mean 0. It takes away the variance that a level common to all returns would bring.

    Args:
        objective: J of one task.
        estimator: From theta [D] and a support to the inner gradient [D].
        theta: [D].
        rate: alpha; the inner step goes uphill.
        episodes: K.
        supports: How many are sampled, 2 at least.
        generator: What they are drawn from.
        batch: How many are computed at once, at least; less than twice that many at most.

    Returns:
        Means in float64, and their standard errors. Those of the credit and of the total leave out that the
        supports of a batch share baselines, which changes them by a part of order 1 / batch.

    Raises:
        ValueError: if `supports` or `batch` is below 2, for a baseline takes two.
    """
    for name, number in (("supports", supports), ("batch", batch)):
        if number < 2:
            raise ValueError(f"{name} must be at least 2, got {number}")
    theta = theta.detach()
    batches = max(1, supports // batch)
    size, rest = divmod(supports, batches)
    sums: list[Tensor] = []
    for i in range(batches):
        number = size + (i < rest)
        terms = _batch(objective, estimator, theta, rate, episodes, number, generator)
        moments = [torch.stack([x.sum(0), x.square().sum(0)]) for x in map(Tensor.double, terms)]
        sums = [old + new for old, new in zip(sums, moments, strict=True)] if sums else moments
    means = [x[0] / supports for x in sums]
    variances = [x[1] / supports - mean.square() for x, mean in zip(sums, means, strict=True)]
    errors = [(variance.clamp(min=0) / (supports - 1)).sqrt() for variance in variances]
    return Estimate(MetaGradient(*means), MetaGradient(*errors))


def _batch(
    objective: ExpectedReturn,
    estimator: Estimator,
    theta: Tensor,
    rate: float,
    episodes: int,
    size: int,
    generator: torch.Generator,
) -> MetaGradient:
    """The terms of `size` sampled supports, [M] and [M, D], the credit with its leave-one-out baseline."""
    tables, horizon = objective.tables, objective.horizon
    sampled = sample_supports(objective.policy(theta), tables, horizon, episodes, size, generator)
    terms = vmap(lambda support: _terms(objective, estimator, theta, rate, support))(sampled)
    value, pathwise, first_order, score = terms
    others = (value.sum() - value) / (size - 1)
    credit = (value - others)[:, None] * score
    return MetaGradient(value, pathwise, credit, pathwise + credit, first_order)


def _terms(
    objective: ExpectedReturn, estimator: Estimator, theta: Tensor, rate: float, support: Support
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of one support: J(theta') [], the pathwise term, grad J(theta') and the score, [D] each."""
    outcome = vjp(lambda start: start + rate * estimator(start, support), theta)
    adapted, pull_back = outcome[:2]  # the third of its type is auxiliary output, which there is none of
    first_order, value = grad_and_value(objective)(adapted)
    (pathwise,) = pull_back(first_order)
    score = grad(lambda start: log_likelihood(objective.policy(start), support))(theta)
    return value, pathwise, first_order, score
