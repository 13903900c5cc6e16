"""The inner loop: policy-gradient adaptation of every task's own parameters."""

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
import torchopt
from torch import Tensor, nn
from torch.func import vmap
from torchopt.base import GradientTransformation

from meta_rl import ranks, threads
from meta_rl.distributions import Distribution
from meta_rl.errors import UserError
from meta_rl.losses import dice_loss, loaded_dice_loss, ratio_loss, reinforce_loss, tmaml_loss
from meta_rl.mlp_autograd import loss_gradient
from meta_rl.policy import GaussianMLP, distribution, parameters_outside
from meta_rl.rates import acting, rate_name
from meta_rl.types import STATES_PER_CHUNK, Experience, Params, Samples

# What torchopt's optimizers add under a square root, by the names it has there. More than 0 keeps the root's
# derivative finite where a gradient is exactly 0, as a dead unit's is.
POSITIVE = {"eps_root": 1e-16, "initial_scale": 1e-16, "initial_accumulator_value": 1e-16}

Loss = Literal["reinforce", "ratio", "dice", "tmaml", "loaded_dice"]
# collect(params, step) gives episodes of per-task parameters [N, ...] after so many steps. A loop that
# perturbs the parameters needs a third argument, the `sigma` of `Sampler.collect`.
Collect = Callable[..., Experience]
LOSSES = {"reinforce": reinforce_loss, "ratio": ratio_loss, "dice": dice_loss, "tmaml": tmaml_loss}


class Adapted(NamedTuple):
    """The parameters of all tasks on their way, with what their optimizer remembers."""

    params: Params  # [N, ...]
    optimizer: GradientTransformation  # one for each adaptation: torchopt's momentum remembers its first call
    state: Any  # of the optimizer
    steps: int  # gradient steps taken


class InnerLoop:
    """Policy-gradient steps by one of torchopt's functional optimizers.

    Where the parameters hold learned rates, each update is multiplied by its own.

    Args:
        policy: Module that maps observations to a distribution over actions.
        inner_lr: Learning rate of every step, or one rate a step; the last one serves all later steps.
        inner_optimizer: Name of a functional optimizer in torchopt: sgd, adam, rmsprop, ...
        inner_optimizer_args: The optimizer's further arguments, such as {momentum: 0.9}.
        adapt_log_std: Whether adaptation also moves the standard deviation.
        adapted_layers: Which linear layers adapt; all if None. They count from 1 at the input, and from -1 at
            the output.
        scale_by_variance: Whether the rates are multiples of the policy's variance, so that a step's KL does
            not grow as training narrows the policy: with the gradient's factor 1 / std a rate a shifts means
            by about a / std, a KL of about (a / std^2)^2 / 2. That is so for sgd, whose updates are
            proportional to the gradient. Derivatives go through the variance as well.
        inner_loss: "reinforce", the published one, or "ratio", "dice", "tmaml" and "loaded_dice", whose
            Hessians estimate that of the expected return (`losses`). On fresh episodes all gradients agree.
            What differs is how the step depends on where it starts from: MAML's derivatives, and the line
            search of MAML and FOMAML.
        dice_lambda: Of "loaded_dice", in [0, 1]: 1 for an unbiased Hessian, less for one that varies less.

    Raises:
        ValueError: for a rate that is not positive, a lambda out of range, and a layer, a loss, an optimizer
            or an argument that does not exist.
        UserError: if a policy has no variance to scale by.
    """

    def __init__(
        self,
        policy: nn.Module,
        inner_lr: float | list[float] = 0.1,
        inner_optimizer: str = "sgd",
        inner_optimizer_args: dict[str, Any] | None = None,
        adapt_log_std: bool = True,
        adapted_layers: list[int] | None = None,
        scale_by_variance: bool = False,
        inner_loss: Loss = "reinforce",
        dice_lambda: float = 1.0,
    ) -> None:
        self.policy = policy
        self.rates = list(inner_lr) if isinstance(inner_lr, Sequence) else [inner_lr]
        if not self.rates or not all(0 < rate < math.inf for rate in self.rates):
            raise ValueError(f"inner_lr must be positive and finite, got {inner_lr}")
        self._optimizer = (inner_optimizer, dict(inner_optimizer_args or {}))
        make_optimizer(*self._optimizer)  # a mistake shows now, not in the first iteration
        if scale_by_variance and not hasattr(policy, "variance"):
            raise UserError(
                f"model.scale_by_variance: {type(policy).__name__} has no method variance(params), "
                "as policies for continuous actions have; leave it out"
            )
        self.adapt_log_std = adapt_log_std
        self.scale_by_variance = scale_by_variance
        if inner_loss not in get_args(Loss):
            raise ValueError(f"inner_loss must be one of {', '.join(get_args(Loss))}, got {inner_loss}")
        if not 0 <= dice_lambda <= 1:
            raise ValueError(f"dice_lambda must lie in [0, 1], got {dice_lambda}")
        self.loss: Loss = inner_loss
        loaded = partial(loaded_dice_loss, dice_lambda=dice_lambda)
        self._loss: Callable[[Distribution, Samples], Tensor] = LOSSES.get(inner_loss, loaded)
        self._frozen = set() if adapt_log_std else {"log_std"}
        if adapted_layers is not None:
            self._frozen |= parameters_outside(policy, adapted_layers)

    def at_test(self, rates: Sequence[float] | None = None) -> "InnerLoop":
        """The same at other rates, or at its own."""
        twin = copy.copy(self)
        twin.rates = list(rates or self.rates)
        return twin

    def start(self, params: Params) -> Adapted:
        """Before the first step, at per-task parameters [N, ...]."""
        optimizer = make_optimizer(*self._optimizer)
        return Adapted(params, optimizer, optimizer.init(acting(params)), 0)

    def step(self, adapted: Adapted, samples: Samples, first_order: bool = False) -> Adapted:
        """One gradient step of every task. The result is differentiable with respect to `adapted.params`.

        With `first_order` an update has no derivative but that by the learned rates.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not first_order):
            grads = self._gradients(acting(adapted.params), samples)
        return self.descend(adapted, grads, first_order)

    def advance(self, adapted: Adapted, collect: Collect, episodes: Experience | None = None) -> Adapted:
        """One step on fresh episodes.

        Args:
            adapted: Where it begins.
            collect: Collects what the step is taken on.
            episodes: Those of `adapted.params`, where there are some already.
        """
        return self.step(adapted, (episodes or collect(adapted.params, adapted.steps)).samples)

    def descend(self, adapted: Adapted, grads: Params, first_order: bool = False) -> Adapted:
        """The optimizer's step, at the step's rate, from the gradients [N, ...] of every task's loss."""
        params, optimizer, state, steps = adapted
        moving = acting(params)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not first_order):
            updates, state = optimizer.update(grads, state, params=moving, inplace=False)
            rate: float | Tensor = self.rates[min(steps, len(self.rates) - 1)]
            if self.scale_by_variance:
                rate = rate * cast(GaussianMLP, self.policy).variance(params)
            updates = {
                name: torch.zeros_like(u) if name in self._frozen else of_task(rate, u) * u
                for name, u in updates.items()
            }
        if len(moving) < len(params):
            updates = {name: params[rate_name(name)] * u for name, u in updates.items()}
        moved = torchopt.apply_updates(moving, updates, inplace=False)
        return Adapted(params | moved, optimizer, state, steps + 1)

    def path(self, params: Params, support: Sequence[Samples], first_order: bool = False) -> list[Params]:
        """All gradient steps again, one on each element of `support`.

        Returns:
            The parameters [N, ...] before the first step, and those after each.
        """
        adapted = self.start(params)
        way = [params]
        for samples in support:
            adapted = self.step(adapted, samples, first_order)
            way.append(adapted.params)
        return way

    def replay(self, params: Params, support: Sequence[Samples]) -> Params:
        """The parameters at the end of `path`."""
        return self.path(params, support)[-1]

    def _gradients(self, params: Params, samples: Samples) -> Params:
        """The gradient of every task's loss by its own parameters: [N, ...]."""
        if torch.is_grad_enabled():  # to be differentiated again: the caller decides on the number of tasks
            return self._gradients_at_once(params, samples)

        def of_chunk(part: slice) -> Params:
            of_tasks = {name: value[part] for name, value in params.items()}
            return self._gradients_at_once(of_tasks, Samples(*(x[part] for x in samples)))

        tasks, states = samples.mask.shape
        parts = threads.each(of_chunk, ranks.chunks(tasks, states, STATES_PER_CHUNK))
        return {name: torch.cat([part[name] for part in parts]) for name in params}

    def _gradients_at_once(self, params: Params, samples: Samples) -> Params:
        if type(self.policy) is GaussianMLP:
            return loss_gradient(self.policy, params, samples, self._loss)
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            params = {k: v if v.requires_grad else v.detach().requires_grad_() for k, v in params.items()}
            outputs = distribution(self.policy, params, samples.observations)
            # A task's loss depends on no other's parameters: the sum's gradient holds that of each.
            loss = vmap(self._loss)(outputs, samples).sum()
            grads = torch.autograd.grad(
                loss, list(params.values()), create_graph=again, materialize_grads=True
            )
        return dict(zip(params, grads, strict=True))


def of_task(rate: float | Tensor, like: Tensor) -> float | Tensor:
    """A rate, or one of each task [N], in a shape that multiplies `like` [N, ...]."""
    return rate.reshape(-1, *[1] * (like.dim() - 1)) if isinstance(rate, Tensor) else rate


def make_optimizer(name: str, arguments: dict[str, Any]) -> GradientTransformation:
    """torchopt's functional optimizer `name` with rate 1 (its updates are proportional to the rate)."""
    make = None if name.startswith("_") else getattr(torchopt, name, None)
    if not inspect.isfunction(make) or "lr" not in inspect.signature(make).parameters:
        raise ValueError(f"inner_optimizer '{name}' is no functional optimizer of torchopt; try sgd or adam")
    accepted = inspect.signature(make).parameters
    arguments = {name: value for name, value in POSITIVE.items() if name in accepted} | arguments
    try:
        return make(lr=1.0, **arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"inner_optimizer_args {arguments} do not fit torchopt.{name}: {error}") from None


@torch.no_grad()
def adaptation(
    inner: InnerLoop, params: Params, gradient_steps: int, collect: Collect
) -> Iterator[tuple[Adapted, Experience]]:
    """Adapt to all tasks: the parameters after 0, 1, ..., `gradient_steps` steps, each with episodes of them.

    A gradient step is taken on the episodes that came with the parameters before it. Training, evaluation and
    film all adapt this way; in MAML's terms, the last pair is the query and those before it are the support:

        *support, (adapted, query) = adaptation(inner, params, 1, collect)

    Args:
        inner: Takes the gradient steps.
        params: [N, ...] where every task starts.
        gradient_steps: How many; 0 or more.
        collect: Collects episodes.
    """
    adapted = inner.start(params)
    for step in range(gradient_steps + 1):
        episodes = collect(adapted.params, step)
        yield adapted, episodes
        if step < gradient_steps:
            adapted = inner.advance(adapted, collect, episodes)
