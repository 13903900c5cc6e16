"""The Gaussian policy, its log-probability, its KL divergence and its Fisher information."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from meta_rl.normalizer import RunningNormalizer
from meta_rl.types import Params

NONLINEARITIES = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}


class Gaussian(NamedTuple):
    """A diagonal Gaussian over actions for every state. `log_std` broadcasts against `mean`."""

    mean: Tensor  # [..., A]
    log_std: Tensor  # [..., A]

    def log_prob(self, actions: Tensor) -> Tensor:
        """log N(actions; mean, std^2), summed over the action components: [...]."""
        z = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * z.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, other: "Gaussian") -> Tensor:
        """KL(self || other), summed over the action components: [...]."""
        ratio = torch.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * torch.exp(-other.log_std)).square()
        return (0.5 * (ratio + shift - 1) + other.log_std - self.log_std).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, summed over the action components: [...]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def fisher(self, tangent: "Gaussian") -> "Gaussian":
        """The Fisher matrix, in the coordinates (mean, log_std), times a tangent: diag(std^-2, 2)."""
        return Gaussian(tangent.mean * torch.exp(-2 * self.log_std), 2 * tangent.log_std)


class GaussianMLP(nn.Module):
    """An MLP for the mean and a state-independent log standard deviation, itself a parameter.

    Args:
        observation_size: O.
        action_size: A.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: Between the layers.
        init_std: Initial standard deviation.
        output_gain: Factor on the last layer's initial weights. A small one, such as 0.01, lets all actions
            start around 0, whatever the observation (Andrychowicz et al. 2021, section 3.2).
        min_std: Lower bound of the standard deviation. Below it the parameter has no gradient, so a policy
            that reaches the bound stays there.
        normalize_observations: Whether the layers see observations in units of their running spread.
        generator: Source of the initial weights (Glorot-uniform; biases 0), the global one if None.

    Raises:
        ValueError: if a width is below 1, or a standard deviation or `output_gain` is not positive.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden_sizes: Sequence[int] = (100, 100),
        nonlinearity: Literal["relu", "tanh", "elu"] = "relu",
        init_std: float = 1.0,
        output_gain: float = 1.0,
        min_std: float = 1e-6,
        normalize_observations: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden_sizes must be positive, got {list(hidden_sizes)}")
        if not 0 < min_std <= init_std < math.inf:
            raise ValueError(
                f"init_std must be finite and at least min_std > 0, got {init_std} and min_std={min_std}"
            )
        if not 0 < output_gain < math.inf:
            raise ValueError(f"output_gain must be positive and finite, got {output_gain}")
        sizes = [observation_size, *hidden_sizes]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), NONLINEARITIES[nonlinearity]()]
        last = nn.Linear(sizes[-1], action_size)
        self.mean = nn.Sequential(*layers, last)
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(init_std)))
        self.min_log_std = math.log(min_std)
        self.normalizer = RunningNormalizer(observation_size) if normalize_observations else None
        for module in self.mean:
            if isinstance(module, nn.Linear):
                gain = output_gain if module is last else 1.0
                nn.init.xavier_uniform_(module.weight, gain, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, observations: Tensor) -> Gaussian:
        """Action distribution for observations [..., O]; its log_std is [A]."""
        mean = self.mean(self._normalized(observations))
        return Gaussian(mean, self.log_std.clamp(min=self.min_log_std))

    def forward_tasks(self, params: Params, observations: Tensor) -> Gaussian:
        """`forward` with every task's own parameters [N, ...], at observations [N, K, O].

        The same as `inner.distribution` without what vmap costs at each call: half the time of small batches.
        """
        hidden = self._normalized(observations)
        for name, module in self.mean.named_children():
            if isinstance(module, nn.Linear):
                weight, bias = params[f"mean.{name}.weight"], params[f"mean.{name}.bias"]
                hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
            else:
                hidden = module(hidden)
        return Gaussian(hidden, params["log_std"][:, None].clamp(min=self.min_log_std))

    def variance(self, params: Params) -> Tensor:
        """Geometric mean over actions of the variances of per-task parameters [N, ...]: [N]."""
        return torch.exp(2 * params["log_std"].clamp(min=self.min_log_std).mean(-1))

    def _normalized(self, observations: Tensor) -> Tensor:
        return observations if self.normalizer is None else self.normalizer(observations)
