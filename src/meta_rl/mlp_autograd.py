"""The passes of `mlp` as functions of autograd, which differentiates through them.

The meta-gradient and its Fisher products need that: by the parameters once, and once more by what is pulled
back. A function's derivative is another pass, so none of them is traced operation by operation.
"""

from typing import Any

import torch
from torch import Tensor

from meta_rl.distributions import Gaussian
from meta_rl.mlp import Forward, Loss, LossGradient
from meta_rl.policy import GaussianMLP
from meta_rl.rates import acting
from meta_rl.types import Params, Samples


def outputs_of_tasks(policy: GaussianMLP, params: Params, observations: Tensor) -> Gaussian:
    """Action distributions [N, B, A] of per-task parameters; log_std is expanded."""
    params = acting(params)
    mean, log_std = _Outputs.apply(policy, observations, list(params), *params.values())  # pyright: ignore
    return Gaussian(mean, log_std[:, None].expand_as(mean))


def loss_gradient(policy: GaussianMLP, params: Params, samples: Samples, loss: Loss) -> Params:
    """The gradient of every task's loss by its own parameters: [N, ...]."""
    if not torch.is_grad_enabled():
        return LossGradient(policy, params, samples, loss).value
    names = list(params)
    values = _Gradient.apply(policy, samples, loss, names, *params.values())
    return dict(zip(names, values, strict=True))  # pyright: ignore[reportArgumentType]


class _Outputs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, policy: GaussianMLP, observations: Tensor, names: list[str], *params: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.names = names
        ctx.passed = passed = Forward(policy, dict(zip(names, params, strict=True)), observations)
        outputs = passed.mean, passed.log_std
        del passed.mean, passed.log_std  # what is returned knows ctx: a cycle would keep both alive
        return outputs

    @staticmethod
    def backward(ctx: Any, *g: Tensor) -> Any:
        return None, None, None, *_PullBack.apply(ctx.passed, ctx.names, *g)  # pyright: ignore


class _PullBack(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, passed: Forward, names: list[str], mean: Tensor, log_std: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.names, ctx.passed = names, passed
        grads = passed.pull_back(mean, log_std)[0]
        return tuple(grads[name] for name in names)

    @staticmethod
    def backward(ctx: Any, *u: Tensor) -> Any:
        return None, None, *ctx.passed.push(dict(zip(ctx.names, u, strict=True)))[:2]


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, policy: GaussianMLP, samples: Samples, loss: Loss, names: list[str], *params: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.names = names
        ctx.gradient = LossGradient(policy, dict(zip(names, params, strict=True)), samples, loss)
        value = ctx.gradient.value
        del ctx.gradient.value  # as in _Outputs
        return tuple(value[name] for name in names)

    @staticmethod
    def backward(ctx: Any, *u: Tensor) -> Any:
        return None, None, None, None, *_Hessian.apply(ctx.gradient, ctx.names, *u)  # pyright: ignore


class _Hessian(torch.autograd.Function):
    """H u; and since H is symmetric, that is its derivative too."""

    @staticmethod
    def forward(ctx: Any, gradient: LossGradient, names: list[str], *u: Tensor) -> tuple[Tensor, ...]:
        ctx.names, ctx.gradient = names, gradient
        product = gradient.hessian_product(dict(zip(names, u, strict=True)))
        return tuple(product[name] for name in names)

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> Any:
        return None, None, *_Hessian.apply(ctx.gradient, ctx.names, *v)  # pyright: ignore
