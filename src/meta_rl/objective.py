"""MAML's outer objective: the mean surrogate loss of the adapted policies, as a function of theta.

    theta --inner loop on support_i--> phi_i --policy--> (mean, log_std) or logits on query_i --> L_i, KL_i

The objective, its gradient and its Fisher products are evaluated over chunks of tasks that fit the cache, and
averaged over the ranks, each of which has a share of the tasks.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import vmap

from meta_rl import ranks, threads
from meta_rl.distributions import Distribution, Gaussian
from meta_rl.fisher import DirectLinearisation, Linearisation, unflatten
from meta_rl.inner import InnerLoop
from meta_rl.losses import mean_kl, surrogate_loss
from meta_rl.mlp import Forward
from meta_rl.mlp_autograd import outputs_of_tasks
from meta_rl.policy import GaussianMLP, distribution, leaves_of, repeat
from meta_rl.rates import acting
from meta_rl.types import STATES_PER_CHUNK, Params, Samples, thin


class Chunk(NamedTuple):
    """The data of a few tasks."""

    support: list[Samples]
    adapted: Params
    query: Samples
    weights: Tensor  # [n] of the tasks


class MetaObjective:
    """mean_i L_i(phi_i(theta)) and mean_i KL(pi_old_i || pi_phi_i(theta)).

    With no support phi_i = theta: the surrogate loss and the KL of plain TRPO.

    Args:
        policy: Module from observations to a distribution over actions.
        inner: The inner loop.
        support: Samples of every inner step.
        adapted: The parameters [N, ...] that those steps led to.
        query: Samples of the adapted policies.
        first_order: Take d phi_i / d theta for the identity (FOMAML; Finn et al. 2017, section 5.2).
        fisher_fraction: Share of the query states that Fisher products use, in (0, 1].
        pooled: Let every valid state have the same weight in the means, instead of every task.
        states_per_chunk: States of the tasks that are processed together, unless a single task has more.
    """

    def __init__(
        self,
        policy: nn.Module,
        inner: InnerLoop,
        support: Sequence[Samples],
        adapted: Params,
        query: Samples,
        first_order: bool = False,
        fisher_fraction: float = 1.0,
        pooled: bool = False,
        states_per_chunk: int = STATES_PER_CHUNK,
    ) -> None:
        self.policy, self.inner, self.first_order = policy, inner, first_order
        self.support, self.adapted, self.query = support, adapted, query
        self.fisher_fraction = fisher_fraction
        self.tasks, states = query.mask.shape
        valid = query.mask.sum(-1)
        of_all = ranks.gather(valid.double()).mean().to(valid)
        self.weights = valid / of_all if pooled else torch.ones_like(valid)  # [N], 1 on average
        self.chunks = ranks.chunks(self.tasks, states, states_per_chunk)
        self._old: list[Distribution] = []  # one a chunk: the adapted policies that collected the query data
        self._linearisations: list[Linearisation | DirectLinearisation] = []
        # With learned rates phi depends on theta in first order, too.
        self._identity = not support or (first_order and len(acting(adapted)) == len(adapted))
        self._direct = type(policy) is GaussianMLP and self._identity

    def gradient(self, theta: Params, with_fisher: bool = True) -> tuple[Tensor, list[Tensor]]:
        """Loss and gradient at `theta`, the parameters that the data was collected with.

        Also fixes the old policies, and (`with_fisher`) prepares `fisher_product` at this point.
        """
        whole = with_fisher and self.fisher_fraction == 1
        parts = threads.each(lambda chunk: self._part_of_gradient(theta, chunk, whole), self._chunks())
        losses, gradients, self._old, linearisations = map(list, zip(*parts, strict=True))
        self._linearisations = linearisations if whole else []
        if with_fisher and not whole:
            self._linearise(theta)
        return self._mean(losses), self._mean_gradient(gradients, theta)

    def _part_of_gradient(
        self, theta: Params, chunk: Chunk, keep_graph: bool
    ) -> tuple[Tensor, Tensor, Distribution, Linearisation | DirectLinearisation]:
        """A chunk's sums of loss and flat gradient, its old policies, and what Fisher products need."""
        if self._direct:
            return self._direct_part(theta, chunk)
        leaves, outputs = self._forward(theta, chunk)
        old = outputs._make(x.detach() for x in outputs)
        loss, cotangents = self._loss_and_cotangents(outputs, chunk)
        pullback = _pull_back(outputs, leaves, cotangents, keep_graph)
        linearisation = Linearisation(leaves, outputs, cotangents, pullback, self._state_weights(chunk))
        return loss, ranks.flat_sum(pullback), old, linearisation

    @torch.no_grad()
    def _direct_part(
        self, theta: Params, chunk: Chunk
    ) -> tuple[Tensor, Tensor, Gaussian, DirectLinearisation]:
        """The same without autograd."""
        forward = self._passed(chunk)
        old = Gaussian(forward.mean, forward.log_std[:, None].expand_as(forward.mean))
        loss, (by_mean, by_log_std) = self._loss_and_cotangents(old, chunk)
        grads, *_ = forward.pull_back(by_mean, by_log_std.sum(1))
        direct = DirectLinearisation.make(forward, theta, self._state_weights(chunk))
        return loss, ranks.flat_sum([grads[name] for name in theta]), old, direct

    def _passed(self, chunk: Chunk) -> Forward:
        """The adapted policies' forward pass over a chunk's query states."""
        return Forward(cast(GaussianMLP, self.policy), chunk.adapted, chunk.query.observations)

    def _mean(self, parts: Sequence[Tensor]) -> Tensor:
        """The mean over all tasks of sums over the tasks of chunks."""
        return (ranks.total(parts) / (self.tasks * ranks.size())).to(self.query.mask)

    def _mean_gradient(self, parts: Sequence[Tensor], theta: Params) -> list[Tensor]:
        """The same of flat gradients, in the shapes of theta."""
        return unflatten(self._mean(parts), list(theta.values()))

    def _linearise(self, theta: Params) -> None:
        """Prepare Fisher products on a share of the query states.

        The support keeps all: the gradient has passed through the noise of its Hessian, and only that same
        Hessian tells how far such a step moves the adapted policies.
        """
        chunks = self.chunks
        if self._identity:
            states = max(1, round(self.fisher_fraction * self.query.mask.shape[1]))
            chunks = ranks.chunks(self.tasks, states, STATES_PER_CHUNK)

        def linearise(chunk: Chunk) -> Linearisation | DirectLinearisation:
            chunk = chunk._replace(query=thin(chunk.query, self.fisher_fraction))
            if self._direct:
                return DirectLinearisation.make(self._passed(chunk), theta, self._state_weights(chunk))
            leaves, outputs = self._forward(theta, chunk)
            cotangents = [torch.zeros_like(x).requires_grad_() for x in outputs]
            pullback = _pull_back(outputs, leaves, cotangents, keep_graph=True)
            return Linearisation(leaves, outputs, cotangents, pullback, self._state_weights(chunk))

        self._linearisations = threads.each(linearise, self._chunks(chunks))

    def _state_weights(self, chunk: Chunk) -> Tensor:
        mask = chunk.query.mask
        valid = mask.sum(-1, keepdim=True).clamp(min=1)
        return (chunk.weights[:, None] * mask / valid)[..., None]

    def fisher_product(self, vector: Tensor) -> Tensor:
        """mean_i J_i^T F_i J_i v for a flat vector: the Hessian of the mean KL at the point of `gradient`.

        J_i is the derivative of task i's distribution parameters by theta, through the inner loop, and F_i
        their Fisher matrix. The Gauss-Newton form is exact there because the KL's own gradient vanishes.
        """
        return self._mean(threads.each(lambda part: part.product(vector), self._linearisations))

    @torch.no_grad()
    def evaluate(self, theta: Params) -> tuple[Tensor, Tensor]:
        """Mean loss and mean KL from the old policies, after adaptation from `theta`."""

        def part(chunk: Chunk, old: Distribution) -> Tensor:
            phi = self.inner.replay(repeat(theta, len(chunk.query.mask)), chunk.support)
            outputs = distribution(self.policy, phi, chunk.query.observations)
            loss = chunk.weights * vmap(surrogate_loss)(outputs, old, chunk.query)
            kl = chunk.weights * vmap(mean_kl)(old, outputs, chunk.query.mask)
            return torch.stack([ranks.sum_of_chunk(loss), ranks.sum_of_chunk(kl)])

        pairs = list(zip(self._chunks(), self._old, strict=True))
        loss, kl = self._mean(threads.each(lambda pair: part(*pair), pairs))
        return loss, kl

    def _chunks(self, chunks: Sequence[slice] | None = None) -> list[Chunk]:
        return [
            Chunk(
                [Samples(*(x[part] for x in samples)) for samples in self.support],
                {name: value[part] for name, value in self.adapted.items()},
                Samples(*(x[part] for x in self.query)),
                self.weights[part],
            )
            for part in chunks or self.chunks
        ]

    def _forward(self, theta: Params, chunk: Chunk) -> tuple[list[Tensor], Distribution]:
        """Leaves for theta, one copy a task, and the adapted policies' distributions as functions of them.

        The value of phi is always the one that collected the query data; what differs is its derivative.
        """
        leaves = leaves_of(theta, len(chunk.query.mask))
        with torch.enable_grad():
            phi = leaves
            if not self._identity:
                *_, phi = self.inner.path(leaves, chunk.support, self.first_order)
            phi = {name: value + (chunk.adapted[name] - value).detach() for name, value in phi.items()}
            outputs = self._distribution(phi, chunk.query.observations)
        return list(leaves.values()), outputs

    def _distribution(self, params: Params, observations: Tensor) -> Distribution:
        """The same as `policy.distribution`; of an MLP with derivatives that are written out."""
        if type(self.policy) is GaussianMLP:
            return outputs_of_tasks(self.policy, params, observations)
        return distribution(self.policy, params, observations)

    def _loss_and_cotangents(self, outputs: Distribution, chunk: Chunk) -> tuple[Tensor, list[Tensor]]:
        """The chunk's part of the mean loss, and its derivative by the distribution parameters."""
        leaves = outputs._make(x.detach().requires_grad_() for x in outputs)
        old = outputs._make(x.detach() for x in outputs)
        with torch.enable_grad():
            losses = chunk.weights * vmap(surrogate_loss)(leaves, old, chunk.query)
            cotangents = torch.autograd.grad(losses.sum(), leaves)
        return ranks.sum_of_chunk(losses), [x.requires_grad_() for x in cotangents]


def _pull_back(
    outputs: Distribution, leaves: list[Tensor], cotangents: list[Tensor], keep_graph: bool
) -> Sequence[Tensor]:
    """J^T u. With `keep_graph` it is differentiable in u and may be taken again."""
    with torch.enable_grad():
        return torch.autograd.grad(
            outputs,
            leaves,
            cotangents,
            create_graph=keep_graph,
            retain_graph=keep_graph,
            materialize_grads=True,
        )
