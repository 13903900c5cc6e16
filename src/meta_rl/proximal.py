"""Proximal policy optimisation of the meta-objective (ProMP; Rothfuss et al. 2019, algorithm 1)."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from meta_rl import ranks, threads
from meta_rl.distributions import Distribution
from meta_rl.losses import clipped_loss, mean_kl
from meta_rl.objective import Chunk, MetaObjective
from meta_rl.policy import leaves_of, repeat
from meta_rl.types import Params, Samples

LOWEST, HIGHEST = 1e-4, 1e4  # of an adaptive coefficient, so that it can find its way back


class ProximalRecord(NamedTuple):
    """What a step did."""

    kl: float  # of the policies that sampled the support, after the step
    penalty: float  # the coefficient that the step was taken with


class ProximalAdam(torch.optim.Adam):
    """Several epochs of Adam on one batch of episodes, as a single step.

    If `adaptive`, the coefficient of the KL penalty follows what a step has led to (Schulman et al. 2017,
    section 4): it is halved if the KL is below `kl_target` / 1.5, and doubled if it is above 1.5 `kl_target`.
    It is one of the group's values, `kl_penalty`, and so part of the state.

    Args:
        params: What to optimise; one group.
        lr: Adam's rate.
        epochs: Steps of Adam.
        kl_target: What the coefficient aims at, in nats per state.
        kl_penalty: The coefficient at first.
        adaptive: Whether it changes.

    Raises:
        ValueError: for values outside their range.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        epochs: int = 5,
        kl_target: float = 0.01,
        kl_penalty: float = 1.0,
        adaptive: bool = True,
    ) -> None:
        if epochs < 1:
            raise ValueError(f"outer_epochs must be at least 1, got {epochs}")
        if not 0 < kl_target < math.inf:
            raise ValueError(f"kl_target must be positive and finite, got {kl_target}")
        if not 0 <= kl_penalty < math.inf:
            raise ValueError(f"kl_penalty must be finite and not negative, got {kl_penalty}")
        super().__init__(params, lr=lr)
        # Settings, which a resumed run takes from its configuration. A coefficient that changes is state.
        settings = {"epochs": epochs, "kl_target": kl_target, "adaptive": adaptive}
        self.defaults.update(settings if adaptive else {**settings, "kl_penalty": kl_penalty})
        self.param_groups[0].update(settings, kl_penalty=kl_penalty)
        self.report: ProximalRecord | None = None

    @property
    def penalty(self) -> float:
        """The KL penalty's coefficient at present."""
        return self.param_groups[0]["kl_penalty"]

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], object], kl: Callable[[], Tensor]
    ) -> None:
        """All epochs, the first with the gradient in `.grad`.

        Args:
            closure: Puts the gradient at the current parameters into `.grad`, for the epochs after the first.
            kl: The KL at the current parameters from those before the step.
        """
        group = self.param_groups[0]
        for epoch in range(group["epochs"]):
            if epoch:
                closure()
            super().step()
        reached, penalty = float(kl()), self.penalty
        self.report = ProximalRecord(reached, penalty)
        if group["adaptive"] and reached > 1.5 * group["kl_target"]:
            group["kl_penalty"] = min(2 * penalty, HIGHEST)
        elif group["adaptive"] and reached < group["kl_target"] / 1.5:
            group["kl_penalty"] = max(penalty / 2, LOWEST)


class ProximalObjective(MetaObjective):
    """The clipped surrogate loss of the adapted policies, and the KL of those that sampled the support.

        mean_i L^clip_i(phi_i(theta)) + penalty * mean_i mean_j KL(pi_old_ij || pi_ij(theta))

    Policy j of task i is the one after j inner steps, with which its episodes of that step were sampled. The
    KL keeps them close to what they were, so that the episodes remain theirs (Rothfuss et al. 2019, equation
    10). With no support both terms are of the query: plain PPO with a KL penalty.

    Args:
        clip: Half width of the interval around 1 in which a ratio has a gradient.
        **kwargs: Those of `MetaObjective`.
    """

    def __init__(self, clip: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip = clip
        # Of each chunk: the policies that sampled what is penalised.
        self._sampled: list[list[Distribution]] = []

    def gradient(self, theta: Params, with_fisher: bool = False) -> tuple[Tensor, list[Tensor]]:
        """As of `MetaObjective`: at the old policies no ratio is clipped, and the KL has no gradient."""

        def sampled(chunk: Chunk) -> list[Distribution]:
            with torch.no_grad():
                return self._along(repeat(theta, len(chunk.query.mask)), _penalised(chunk))

        self._sampled = threads.each(sampled, self._chunks())
        return super().gradient(theta, with_fisher)

    def gradient_at(self, theta: Params, penalty: float) -> list[Tensor]:
        """The gradient at parameters that the episodes were not sampled with."""

        def part(chunk: Chunk, sampled: list[Distribution], old: Distribution) -> Tensor:
            leaves = leaves_of(theta, len(chunk.query.mask))
            with torch.enable_grad():
                *before, query = self._along(leaves, [*chunk.support, chunk.query])
                loss = vmap(lambda new, old, x: clipped_loss(new, old, x, self.clip))(query, old, chunk.query)
                total = (chunk.weights * (loss + penalty * self._kl(chunk, sampled, before or [query]))).sum()
                return ranks.flat_sum(
                    torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
                )

        triples = list(zip(self._chunks(), self._sampled, self._old, strict=True))
        return self._mean_gradient(threads.each(lambda triple: part(*triple), triples), theta)

    @torch.no_grad()
    def kl_of_support(self, theta: Params) -> Tensor:
        """Mean KL from the policies that sampled the support; from those of the query where there is none."""

        def part(chunk: Chunk, sampled: list[Distribution]) -> Tensor:
            now = self._along(repeat(theta, len(chunk.query.mask)), _penalised(chunk))
            return ranks.sum_of_chunk(chunk.weights * self._kl(chunk, sampled, now))

        pairs = list(zip(self._chunks(), self._sampled, strict=True))
        return self._mean(threads.each(lambda pair: part(*pair), pairs))

    def _along(self, theta: Params, episodes: list[Samples]) -> list[Distribution]:
        """Distributions of theta [n, ...] on each of the episodes, with an inner step between them."""
        params = self.inner.path(theta, episodes[:-1], self.first_order)
        return [self._distribution(p, x.observations) for p, x in zip(params, episodes, strict=True)]

    def _kl(self, chunk: Chunk, old: list[Distribution], new: list[Distribution]) -> Tensor:
        """Mean over the inner steps of the KL over each one's states: [n]."""
        masks = [samples.mask for samples in _penalised(chunk)]
        return torch.stack([vmap(mean_kl)(*x) for x in zip(old, new, masks, strict=True)]).mean(0)


def _penalised(chunk: Chunk) -> list[Samples]:
    """The episodes whose policies the penalty is about."""
    return chunk.support or [chunk.query]
