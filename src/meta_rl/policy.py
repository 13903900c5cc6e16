"""MLP policies, and every task's own copy of their parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, cast

import torch
from gymnasium.spaces import Discrete, Space
from torch import Tensor, nn
from torch.func import functional_call, vmap

from meta_rl.distributions import Categorical, Distribution, Gaussian
from meta_rl.normalizer import RunningNormalizer
from meta_rl.types import Params

NONLINEARITIES = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}


@dataclass
class PolicyConfig:
    """Shape and initial values of a policy: the keys of `model.policy`.

    Args:
        hidden_sizes: Width of each hidden layer.
        nonlinearity: Between the layers.
        init_std: Initial standard deviation of the actions; discrete ones have none.
        output_gain: Factor on the last layer's initial weights. A small one, such as 0.01, lets all actions
            start around 0, whatever the observation (Andrychowicz et al. 2021, section 3.2).
        min_std: Lower bound of the standard deviation. Below it the parameter has no gradient, so a policy
            that reaches the bound stays there.
        normalize_observations: Whether the layers see observations in units of their running spread.

    Raises:
        ValueError: if a width is below 1, or a standard deviation or `output_gain` is not positive.
    """

    hidden_sizes: list[int] = field(default_factory=lambda: [100, 100])
    nonlinearity: Literal["relu", "tanh", "elu"] = "relu"
    init_std: float = 1.0
    output_gain: float = 1.0
    min_std: float = 1e-6
    normalize_observations: bool = False

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.hidden_sizes):
            raise ValueError(f"hidden_sizes must be positive, got {list(self.hidden_sizes)}")
        if not 0 < self.min_std <= self.init_std < math.inf:
            low, std = self.min_std, self.init_std
            raise ValueError(f"init_std must be finite and at least min_std > 0, got {std} and min_std={low}")
        if not 0 < self.output_gain < math.inf:
            raise ValueError(f"output_gain must be positive and finite, got {self.output_gain}")


class MLPPolicy(nn.Module):
    """Base of the policies: an MLP, and a running normaliser of what it sees.

    Args:
        observation_size: O.
        output_size: A.
        config: Shape and initial values; those of `PolicyConfig()` if None.
        generator: Source of the initial weights (Glorot-uniform; biases 0), the global one if None.
    """

    output: str  # name of the MLP among the modules

    def __init__(
        self,
        observation_size: int,
        output_size: int,
        config: PolicyConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        config = config or PolicyConfig()
        sizes = [observation_size, *config.hidden_sizes]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), NONLINEARITIES[config.nonlinearity]()]
        last = nn.Linear(sizes[-1], output_size)
        for module in [*layers, last]:
            if isinstance(module, nn.Linear):
                gain = config.output_gain if module is last else 1.0
                nn.init.xavier_uniform_(module.weight, gain, generator=generator)
                nn.init.zeros_(module.bias)
        self.add_module(self.output, nn.Sequential(*layers, last))
        self.normalizer = RunningNormalizer(observation_size) if config.normalize_observations else None

    def outputs(self, observations: Tensor) -> Tensor:
        """The MLP's outputs [..., A] at observations [..., O]."""
        return self.get_submodule(self.output)(self._normalized(observations))

    def outputs_of_tasks(self, params: Params, observations: Tensor) -> Tensor:
        """`outputs` with every task's own parameters [N, ...], at observations [N, K, O].

        The same as vmap over `outputs`, without what vmap costs at each call: half the time of small batches.
        """
        hidden = self._normalized(observations)
        for name, module in self.get_submodule(self.output).named_children():
            if isinstance(module, nn.Linear):
                weight, bias = (params[f"{self.output}.{name}.{part}"] for part in ("weight", "bias"))
                hidden = torch.baddbmm(bias[:, None], hidden, weight.transpose(1, 2))
            else:
                hidden = module(hidden)
        return hidden

    def forward_tasks(self, params: Params, observations: Tensor) -> Distribution:
        """`forward` with every task's own parameters [N, ...], at observations [N, K, O]."""
        raise NotImplementedError

    def _normalized(self, observations: Tensor) -> Tensor:
        return observations if self.normalizer is None else self.normalizer(observations)


class GaussianMLP(MLPPolicy):
    """An MLP for the mean and a state-independent log standard deviation, itself a parameter.

    The arguments are those of `MLPPolicy`; A is the number of action components.
    """

    output = "mean"
    mean: nn.Sequential

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: PolicyConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(observation_size, action_size, config, generator)
        config = config or PolicyConfig()
        self.log_std = nn.Parameter(torch.full((action_size,), math.log(config.init_std)))
        self.min_log_std = math.log(config.min_std)

    def forward(self, observations: Tensor) -> Gaussian:
        """Action distribution for observations [..., O]; its log_std is [A]."""
        return Gaussian(self.outputs(observations), self.log_std.clamp(min=self.min_log_std))

    def forward_tasks(self, params: Params, observations: Tensor) -> Gaussian:
        mean = self.outputs_of_tasks(params, observations)
        return Gaussian(mean, params["log_std"][:, None].clamp(min=self.min_log_std))

    def variance(self, params: Params) -> Tensor:
        """Geometric mean over actions of the variances of per-task parameters [N, ...]: [N]."""
        return torch.exp(2 * params["log_std"].clamp(min=self.min_log_std).mean(-1))


class CategoricalMLP(MLPPolicy):
    """An MLP for the logits of discrete actions.

    The arguments are those of `MLPPolicy`; A is the number of actions.
    """

    output = "logits"
    logits: nn.Sequential

    def forward(self, observations: Tensor) -> Categorical:
        """Action distribution for observations [..., O]."""
        return Categorical(self.outputs(observations))

    def forward_tasks(self, params: Params, observations: Tensor) -> Categorical:
        return Categorical(self.outputs_of_tasks(params, observations))


def policy_for(actions: Space) -> type[GaussianMLP] | type[CategoricalMLP]:
    """The kind of policy that acts in an action space."""
    return CategoricalMLP if isinstance(actions, Discrete) else GaussianMLP


def parameters_outside(policy: nn.Module, layers: Sequence[int]) -> set[str]:
    """Names of the parameters of all linear layers but these, which count from 1, or from -1 backwards.

    Raises:
        ValueError: if one of them does not exist.
    """
    linear = [name for name, module in policy.named_modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        if not 1 <= abs(layer) <= len(linear):
            raise ValueError(
                f"adapted_layers must lie in 1 to {len(linear)} or -{len(linear)} to -1, "
                f"as the policy has {len(linear)} linear layers; got {list(layers)}"
            )
    if not layers:
        raise ValueError("adapted_layers is empty; name a layer, such as -1 for the last")
    kept = {linear[layer - (layer > 0)] for layer in layers}
    return {
        f"{name}.{parameter}"
        for name in linear
        if name not in kept
        for parameter, _ in policy.get_submodule(name).named_parameters()
    }


def distribution(policy: nn.Module, params: Params, observations: Tensor) -> Distribution:
    """Action distributions of per-task parameters [N, ...] at observations [N, B, O], one for every state.

    With M rows of parameters a task, [N * M, ...], each is for its share of the task's states, B / M of them.
    """
    rows = len(next(iter(params.values())))
    if rows != len(observations):
        shares = distribution(policy, params, observations.reshape(rows, -1, observations.shape[-1]))
        return shares._make(x.reshape(*observations.shape[:2], -1) for x in shares)
    if type(policy) in (GaussianMLP, CategoricalMLP):  # a class derived from one may have another `forward`
        return cast(MLPPolicy, policy).forward_tasks(params, observations).expanded()

    def one_task(task_params: Params, task_observations: Tensor) -> Distribution:
        return functional_call(policy, task_params, (task_observations,)).expanded()

    return vmap(one_task)(params, observations)


def repeat(params: Params, tasks: int) -> Params:
    """Give every task the same parameters: [...] -> [N, ...], without a copy."""
    return {name: value.expand(tasks, *value.shape) for name, value in params.items()}


def leaves_of(params: Params, tasks: int) -> Params:
    """The same as leaves of a graph, so that every task's loss has a gradient by its own copy."""
    return {name: value.detach().requires_grad_() for name, value in repeat(params, tasks).items()}
