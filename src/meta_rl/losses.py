"""Losses of one task. `torch.func.vmap` lifts them to a batch of tasks."""

import torch
from torch import Tensor

from meta_rl.advantages import masked_mean
from meta_rl.distributions import Distribution
from meta_rl.types import Samples


def reinforce_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """-mean_t log pi(a_t | s_t) A_t over valid steps (Williams 1992): scalar for one task."""
    return -masked_mean(distribution.log_prob(samples.actions) * samples.advantages, samples.mask)


def ratio_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """-mean_t pi(a_t | s_t) / pi_old(a_t | s_t) A_t, pi_old being the policy that sampled the actions.

    At pi_old its gradient is that of `reinforce_loss`. Its Hessian has another term, the mean of
    -A_t grad log pi grad log pi^T, without which it is no estimate of the Hessian of minus the expected
    return, even where a single action earns it (Rothfuss et al. 2019, section 5: low-variance curvature).
    """
    log_ratio = distribution.log_prob(samples.actions) - samples.log_probs
    ratio = torch.exp(torch.where(samples.mask > 0, log_ratio, 0.0))
    return -masked_mean(ratio * samples.advantages, samples.mask)


def surrogate_loss(distribution: Distribution, old: Distribution, samples: Samples) -> Tensor:
    """`ratio_loss` with the policy pi_old given (Schulman et al. 2015, equation 14)."""
    return ratio_loss(distribution, samples._replace(log_probs=old.log_prob(samples.actions)))


def mean_kl(old: Distribution, distribution: Distribution, mask: Tensor) -> Tensor:
    """KL(old || distribution), summed over action components and averaged over valid steps."""
    return masked_mean(old.kl(distribution), mask)  # pyright: ignore[reportArgumentType]
