"""E-MAML: the adapted policies' returns are credited to the support that led to them (Stadie et al. 2018).

Which support is sampled depends on theta, and so does what it leads to. The gradient of the return R after
adaptation has a second term beside the one that MAML differentiates, the credit of sampling:

    E[(R - b) grad log p_theta(support)]
"""

from typing import Any

import torch
from torch import Tensor

from meta_rl import ranks, threads
from meta_rl.losses import log_ratios
from meta_rl.objective import Chunk, MetaObjective
from meta_rl.policy import distribution, leaves_of, repeat
from meta_rl.types import Experience, Params


def credit_of_tasks(query: Experience) -> Tensor:
    """What each task's support earned, R - b in the units of the surrogate loss: [N].

    R is the mean return of the task's query episodes, and b that of all other tasks, those of other ranks
    too. The surrogate loss is a mean over steps of advantages over their scale; so R - b is divided by an
    episode's steps times that scale, again of all other tasks. Nothing that R is compared with depends on
    the task's own support, so that the credit stays unbiased. With a single task it is 0.
    """
    columns = query.returns.mean(-1), query.lengths.mean(-1) * query.scale
    by_task = torch.stack(columns, 1).double()
    of_all = ranks.gather(by_task)
    others = (of_all.sum(0) - by_task) / max(1, len(of_all) - 1)
    earned = by_task[:, 0] - (others[:, 0] if len(of_all) > 1 else by_task[:, 0])
    return (earned / others[:, 1].clamp(min=1e-8)).to(query.returns)


class CreditedObjective(MetaObjective):
    """A `MetaObjective` whose loss has the credit of sampling besides.

    For task i that is -credit_i times the sum over the steps of its supports of (ratio - 1), the ratio being
    that of an action's probability to the one it was sampled with. Its gradient is that of the likelihood.
    Away from the parameters that sampled it is a sum of ratios, as in a surrogate loss, where the likelihood
    of a whole support is a product of thousands.

    Args:
        credit: [N], as of `credit_of_tasks`.
        **kwargs: Those of `MetaObjective`.
    """

    def __init__(self, credit: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.credit = credit

    def gradient(self, theta: Params, with_fisher: bool = True) -> tuple[Tensor, list[Tensor]]:
        loss, gradient = super().gradient(theta, with_fisher)
        parts = threads.each(lambda pair: self._part_of_credit(theta, *pair), self._credited())
        losses, gradients = map(list, zip(*parts, strict=True))
        credited = self._mean_gradient(gradients, theta)
        return loss + self._mean(losses), [a + b for a, b in zip(gradient, credited, strict=True)]

    @torch.no_grad()
    def evaluate(self, theta: Params) -> tuple[Tensor, Tensor]:
        loss, kl = super().evaluate(theta)

        def part(chunk: Chunk, credit: Tensor) -> Tensor:
            return ranks.sum_of_chunk(self._credit_loss(repeat(theta, len(credit)), chunk, credit))

        return loss + self._mean(threads.each(lambda pair: part(*pair), self._credited())), kl

    def _credited(self) -> list[tuple[Chunk, Tensor]]:
        """The chunks, each with the credit [n] of its tasks."""
        return list(zip(self._chunks(), [self.credit[part] for part in self.chunks], strict=True))

    def _part_of_credit(self, theta: Params, chunk: Chunk, credit: Tensor) -> tuple[Tensor, Tensor]:
        """A chunk's sums of the loss, and of its gradient as a flat vector."""
        leaves = leaves_of(theta, len(credit))
        with torch.enable_grad():
            loss = self._credit_loss(leaves, chunk, credit)
            gradient = torch.autograd.grad(loss.sum(), list(leaves.values()), materialize_grads=True)
        return ranks.sum_of_chunk(loss), ranks.flat_sum(gradient)

    def _credit_loss(self, theta: Params, chunk: Chunk, credit: Tensor) -> Tensor:
        """That of each of a chunk's tasks with parameters [n, ...] of their own: [n]."""
        total = torch.zeros_like(credit)
        # The parameters that sampled the support of every inner step, as functions of theta.
        sampled_by = self.inner.path(theta, chunk.support[:-1], self.first_order)
        for params, samples in zip(sampled_by, chunk.support, strict=True):
            log_ratio = log_ratios(distribution(self.policy, params, samples.observations), samples)
            total = total + log_ratio.expm1().sum(-1)
        return -credit * total
