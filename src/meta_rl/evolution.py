"""Adaptation by evolution strategies: the inner loop without a gradient of the policy (Song et al. 2020)."""

import math
from typing import Any

from torch import nn

from meta_rl.inner import Adapted, Collect, InnerLoop
from meta_rl.perturbations import slope
from meta_rl.types import Experience


class EvolutionStrategy(InnerLoop):
    """Steps along the slope of the returns that antithetic perturbations of a task's parameters show.

    Each of the K episodes of a step has perturbed parameters of its own. Their returns are divided by their
    standard deviation over the task's episodes, so that a rate is free of the rewards' scale. With z the
    normalised returns and s = 1 or -1 the signs in the pairs, the parameters move by

        rate / (K sigma)  sum_k  z_k s_k g_k

    Args:
        policy: As in `InnerLoop`.
        inner_sigma: Length of a perturbation of a single parameter.
        **inner: The other arguments of `InnerLoop`. Those of the loss have no meaning here.

    Raises:
        ValueError: if `inner_sigma` is not positive; else as `InnerLoop`.
    """

    def __init__(self, policy: nn.Module, inner_sigma: float = 0.1, **inner: Any) -> None:
        super().__init__(policy, **inner)
        if not 0 < inner_sigma < math.inf:
            raise ValueError(f"inner_sigma must be positive and finite, got {inner_sigma}")
        self.sigma = inner_sigma

    def advance(self, adapted: Adapted, collect: Collect, episodes: Experience | None = None) -> Adapted:
        """One step on K episodes of its own; those of the parameters themselves say nothing of the slope."""
        trials = collect(adapted.params, adapted.steps, self.sigma)
        assert trials.directions is not None
        spread = trials.returns.std(1, correction=0, keepdim=True)
        uphill = slope(trials.returns / spread.clamp(min=1e-8), trials.directions, self.sigma)
        return self.descend(adapted, {name: -x for name, x in uphill.items()})
