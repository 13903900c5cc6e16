"""Products with the Fisher matrix of the adapted policies, seen from theta, for a few tasks at a time.

Task i contributes J_i^T F_i J_i v: J_i is the derivative of its distribution parameters by theta, through the
inner loop, and F_i their Fisher matrix (the Gauss-Newton form of the KL's Hessian).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from meta_rl import ranks
from meta_rl.distributions import Distribution
from meta_rl.mlp import Forward
from meta_rl.policy import repeat
from meta_rl.types import Params


class Linearisation(NamedTuple):
    """One chunk's map theta -> distribution parameters, with its graphs kept for products J v and J^T w."""

    theta: list[Tensor]  # leaves, a copy a task: [n, ...]
    outputs: Distribution  # its tensors [n, B, A]
    cotangents: list[Tensor]  # leaves u, shaped as the outputs
    pullback: Sequence[Tensor]  # J^T u, differentiable in u: the derivative of v . J^T u by u is J v
    weights: Tensor  # [n, B, 1] of each state in the mean over valid states, times that of its task

    def product(self, vector: Tensor) -> Tensor:
        """The sum over the tasks of J^T F J v for a flat vector v: flat, in float64."""
        pieces = unflatten(vector, [p[0] for p in self.theta])
        v = [x.expand_as(p) for x, p in zip(pieces, self.theta, strict=True)]
        tangent = torch.autograd.grad(self.pullback, self.cotangents, v, retain_graph=True)
        image = self.outputs.fisher(self.outputs._make(tangent))  # pyright: ignore[reportArgumentType]
        weighted = [(x * self.weights).detach() for x in image]
        return ranks.flat_sum(torch.autograd.grad(self.outputs, self.theta, weighted, retain_graph=True))


class DirectLinearisation(NamedTuple):
    """The same where d phi / d theta is the identity, by passes that are written out."""

    forward: Forward
    theta: Params  # as the vectors are flattened
    by_mean: Tensor  # [n, B, A] weights of the states times the Fisher information of the mean
    by_log_std: Tensor  # [n, A] the same of log_std, summed over states

    @classmethod
    def make(cls, forward: Forward, theta: Params, weights: Tensor) -> "DirectLinearisation":
        fisher = torch.exp(-2 * forward.log_std)[:, None] * weights
        return cls(forward, theta, fisher, 2 * weights.sum(1).expand_as(forward.log_std))

    def product(self, vector: Tensor) -> Tensor:
        """As that of `Linearisation`."""
        pieces = unflatten(vector, list(self.theta.values()))
        v = repeat(dict(zip(self.theta, pieces, strict=True)), len(self.by_mean))
        mean, log_std, *_ = self.forward.push(v)
        grads, *_ = self.forward.pull_back(mean.mul_(self.by_mean), log_std * self.by_log_std)
        return ranks.flat_sum([grads[name] for name in self.theta])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A flat vector as tensors of these shapes."""
    return [x.view_as(value) for x, value in zip(vector.split([v.numel() for v in like]), like, strict=True)]
