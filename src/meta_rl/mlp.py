"""Derivatives of the Gaussian MLP policy, written out: fewer passes over activations than autograd makes.

With per-task parameters [N, ...], z_l = h_{l-1} W_l^T + b_l, h_l = f(z_l), and the mean z_L of the actions:

    pull back   g -> J^T g      from the mean to the parameters
    push        u -> J u        from the parameters to the mean
    Hessian     u -> H u        of a loss L(mean, log_std): both differentiated along u (Pearlmutter 1994)

Each is linear, and the derivative of one is another: `mlp_autograd` lets autograd differentiate through them.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vmap

from meta_rl.distributions import Distribution, Gaussian
from meta_rl.policy import GaussianMLP
from meta_rl.types import Params, Samples

Loss = Callable[[Distribution, Samples], Tensor]


class _Scratch(threading.local):
    """Memory of this thread for what a pass needs only while it runs; used again, it stays in the cache."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    def get(self, slot: str, like: Tensor, size: int) -> Tensor:
        """An uninitialised tensor [N, B, size] for `like` [N, B, ...], valid until the slot's next use."""
        n, b = like.shape[:2]
        key = slot, like.dtype, like.device
        if key not in self.blocks or self.blocks[key].numel() < n * b * size:
            self.blocks[key] = like.new_empty(n * b * size)
        return self.blocks[key][: n * b * size].view(n, b, size)


_scratch = _Scratch()


class _Layer(NamedTuple):
    """What the passes need of a linear layer and of the nonlinearity before it."""

    name: str
    weight: Tensor  # [N, out, in]
    input: Tensor  # [N, B, in]: h of the layer before
    before: nn.Module | None  # f that made the input; None for the observations


class Forward:
    """The forward pass of every task's policy at its observations, kept for any number of other passes.

    Args:
        policy: Gives the architecture, and the statistics of observations.
        params: [N, ...] of each task.
        observations: [N, B, O].

    Attributes:
        mean: [N, B, A] of the actions.
        log_std: [N, A], not below the policy's bound.
        free: [N, A] 1 where the parameter log_std has a gradient, 0 where it is below the bound.
    """

    def __init__(self, policy: GaussianMLP, params: Params, observations: Tensor) -> None:
        bound = policy.min_log_std
        self.free = (params["log_std"] >= bound).to(params["log_std"])
        self.log_std = params["log_std"].clamp(min=bound)
        hidden = observations if policy.normalizer is None else policy.normalizer(observations)
        self.layers: list[_Layer] = []
        before = None
        for name, module in policy.mean.named_children():
            if isinstance(module, nn.Linear):
                weight, bias = params[f"mean.{name}.weight"], params[f"mean.{name}.bias"]
                self.layers.append(_Layer(f"mean.{name}", weight, hidden, before))
                hidden = torch.baddbmm(bias[:, None], hidden, weight.mT)
            else:
                hidden, before = module(hidden), module
        self.mean = hidden

    def pull_back(
        self, g: Tensor, log_std: Tensor, keep: bool = False
    ) -> tuple[Params, list[Tensor], list[Tensor | None]]:
        """J^T g for g of mean [N, B, A] and log_std [N, A].

        Returns:
            The parameters' part; and with `keep`, from the last layer to the first, the derivatives by z, and
            those by h where f'' is not 0 everywhere.
        """
        grads, by_z, by_h = {"log_std": log_std * self.free}, [], []
        for i, layer in reversed(list(enumerate(self.layers))):
            by_z.append(g)
            grads[f"{layer.name}.weight"], grads[f"{layer.name}.bias"] = g.mT @ layer.input, g.sum(1)
            if layer.before is not None:
                out = None if keep else _scratch.get(f"pull {i % 2}", g, layer.weight.shape[2])
                g = torch.bmm(g, layer.weight, out=out)
                by_h.append(g.clone() if keep and bends(layer.before) else None)
                times_slope_(g, layer.before, layer.input)
        return grads, by_z, by_h

    def push(self, u: Params) -> tuple[Tensor, Tensor, list[Tensor | None], list[Tensor | None]]:
        """J u for u [N, ...].

        Returns:
            The parts of mean and log_std; and of every layer how its input changes along u, and the z that
            made the input, the latter where f'' is not 0 everywhere.
        """
        z = change = None  # before the layer's nonlinearity, and after it
        changes, by_z = [], []
        for i, layer in enumerate(self.layers):
            by_z.append(None)
            if z is not None and layer.before is not None:
                by_z[-1] = z.clone() if bends(layer.before) else None
                change = times_slope_(z, layer.before, layer.input)
            changes.append(change)
            weight, bias = (u[f"{layer.name}.{part}"] for part in ("weight", "bias"))
            last = layer is self.layers[-1]
            out = None if last else _scratch.get(f"push {i}", layer.input, weight.shape[1])
            z = torch.baddbmm(bias[:, None], layer.input, weight.mT, out=out)
            if change is not None:
                z.baddbmm_(change, layer.weight.mT)
        assert z is not None
        return z, u["log_std"] * self.free, changes, by_z


def bends(module: nn.Module) -> bool:
    """Whether a nonlinearity has a second derivative other than 0."""
    return not isinstance(module, nn.ReLU)


def times_slope_(x: Tensor, module: nn.Module, h: Tensor) -> Tensor:
    """x times f'(z), in place, by what autograd itself does with h = f(z)."""
    aten = torch.ops.aten
    if isinstance(module, nn.ReLU):
        return aten.threshold_backward.grad_input(x, h, 0, grad_input=x)
    if isinstance(module, nn.Tanh):
        return aten.tanh_backward.grad_input(x, h, grad_input=x)
    return aten.elu_backward.grad_input(x, 1.0, 1.0, 1.0, True, h, grad_input=x)


def bend(module: nn.Module, h: Tensor) -> Tensor:
    """f''(z) from h = f(z)."""
    return -2 * h * (1 - h.square()) if isinstance(module, nn.Tanh) else torch.where(h > 0, 0.0, h + 1)


class LossGradient:
    """The gradient of every task's loss by its own parameters, and products with its Hessian.

    Args:
        policy: The policy.
        params: [N, ...], detached.
        samples: [N, B, ...].
        loss: From one task's distributions and samples to a scalar.
    """

    def __init__(self, policy: GaussianMLP, params: Params, samples: Samples, loss: Loss) -> None:
        self.forward = Forward(policy, params, samples.observations)
        self.outputs = self.forward.mean.requires_grad_(), self.forward.log_std.requires_grad_()
        with torch.enable_grad():
            mean, log_std = self.outputs
            losses = vmap(loss)(Gaussian(mean, log_std[:, None].expand_as(mean)), samples)
            self.by_outputs = torch.autograd.grad(losses.sum(), self.outputs, create_graph=True)
        by_mean, by_log_std = (g.detach() for g in self.by_outputs)
        self.value, self.by_z, self.by_h = self.forward.pull_back(by_mean, by_log_std, keep=True)

    def hessian_product(self, u: Params) -> Params:
        """H u for u [N, ...]."""
        mean, log_std, changes, changes_z = self.forward.push(u)
        g, log_std = torch.autograd.grad(self.by_outputs, self.outputs, (mean, log_std), retain_graph=True)
        result = {"log_std": log_std * self.forward.free}
        layers, by_h = reversed(self.forward.layers), iter(self.by_h)
        passes = zip(layers, self.by_z, changes[::-1], changes_z[::-1], strict=True)
        for i, (layer, by_z, change, z) in enumerate(passes):
            weight = g.mT @ layer.input
            if change is not None:
                weight.baddbmm_(by_z.mT, change)
            result[f"{layer.name}.weight"], result[f"{layer.name}.bias"] = weight, g.sum(1)
            if layer.before is not None:
                out = _scratch.get(f"pull {i % 2}", g, layer.weight.shape[2])
                g = torch.bmm(g, layer.weight, out=out).baddbmm_(by_z, u[f"{layer.name}.weight"])
                times_slope_(g, layer.before, layer.input)
                h = next(by_h)
                if h is not None and z is not None:
                    g.addcmul_(bend(layer.before, layer.input) * h, z)
        return result
