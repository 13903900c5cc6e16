"""Losses of one task. `torch.func.vmap` lifts them to a batch of tasks."""

import torch
from torch import Tensor

from meta_rl.advantages import masked_mean
from meta_rl.distributions import Distribution
from meta_rl.types import Samples


def reinforce_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """-mean_t log pi(a_t | s_t) A_t over valid steps (Williams 1992): scalar for one task."""
    return -masked_mean(distribution.log_prob(samples.actions) * samples.advantages, samples.mask)


def log_ratios(distribution: Distribution, samples: Samples) -> Tensor:
    """log pi(a_t | s_t) - log pi_old(a_t | s_t) of the policy that sampled the actions; 0 on padding."""
    log_ratio = distribution.log_prob(samples.actions) - samples.log_probs
    return torch.where(samples.mask > 0, log_ratio, 0.0)


def ratio_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """-mean_t pi(a_t | s_t) / pi_old(a_t | s_t) A_t, pi_old being the policy that sampled the actions.

    At pi_old its gradient is that of `reinforce_loss`. Its Hessian has another term, the mean of
    -A_t grad log pi grad log pi^T, without which it is no estimate of the Hessian of minus the expected
    return, even where a single action earns it (Rothfuss et al. 2019, section 5: low-variance curvature).
    """
    ratio = torch.exp(log_ratios(distribution, samples))
    return -masked_mean(ratio * samples.advantages, samples.mask)


def dice_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """DiCE with its baseline (Foerster et al. 2018).

    With rho_t the ratio of an action and c_t the product of those up to it in its episode, minus the mean of

        (c_t - c_{t-1}) R_t + (1 - rho_t) b_t

    for the return to go R_t and the baseline's value b_t of a state. Without a discount this is DiCE summed
    by parts: c_t multiplies the reward of step t, and the baseline has the ratio of its own action alone. At
    the policy that sampled the actions the gradient is that of `reinforce_loss`. If nothing is discounted or
    normalised and the baseline comes from other episodes, the Hessian is unbiased at any horizon. How one
    action changes what a later one earns is weighed by whole returns, without a baseline.
    """
    own, before = _ratios(distribution, samples, decay=1.0)
    returns = samples.advantages + samples.values
    return -masked_mean(before * (own - 1) * returns + (1 - own) * samples.values, samples.mask)


def tmaml_loss(distribution: Distribution, samples: Samples) -> Tensor:
    """`dice_loss` with a control variate for the Hessian (after Liu, Socher and Xiong 2019).

    To the mean is added (1 - c_{t-1}) (rho_t - 1) b_t. Its value and gradient are 0, and so is the mean of
    its Hessian, because the product ends before step t. The baseline now counts where one action changes
    what a later one earns, too. This is `loaded_dice_loss` without decay, and the baseline for derivatives of
    any order (Mao et al. 2019).
    """
    own, before = _ratios(distribution, samples, decay=1.0)
    variate = (1 - before) * (own - 1) * samples.values
    return dice_loss(distribution, samples) - masked_mean(variate, samples.mask)


def loaded_dice_loss(distribution: Distribution, samples: Samples, dice_lambda: float = 1.0) -> Tensor:
    """Loaded DiCE (Farquhar, Whiteson and Foerster 2019, equation 12).

    Minus the mean of (exp(w_t) - exp(v_t)) A_t with v_t = lambda w_{t-1}, w_t = v_t + log rho_t: how an
    action changes what the n-th action after it earns counts lambda^n. With lambda = 1 the Hessian is
    unbiased if the advantages are; with 0 it is that of `ratio_loss`.
    """
    own, before = _ratios(distribution, samples, dice_lambda)
    return -masked_mean(before * (own - 1) * samples.advantages, samples.mask)


def _ratios(distribution: Distribution, samples: Samples, decay: float) -> tuple[Tensor, Tensor]:
    """rho_t of every action, and the product of those before it in its episode, each ^(decay^n): [B]."""
    log_ratio = log_ratios(distribution, samples)
    return torch.exp(log_ratio), torch.exp(_sum_to_here(log_ratio, decay, samples.episodes) - log_ratio)


def _sum_to_here(x: Tensor, decay: float, episodes: Tensor) -> Tensor:
    """sum_{n >= 0} decay^n x_{t-n} within an episode: [B], in log2 B passes that each double the reach."""
    reach = 1
    while reach < len(x):
        same = episodes[reach:] == episodes[:-reach]
        earlier = torch.where(same, x[:-reach], 0.0)
        x = torch.cat([x[:reach], x[reach:] + decay**reach * earlier])
        reach *= 2
    return x


def surrogate_loss(distribution: Distribution, old: Distribution, samples: Samples) -> Tensor:
    """`ratio_loss` with the policy pi_old given (Schulman et al. 2015, equation 14)."""
    return ratio_loss(distribution, samples._replace(log_probs=old.log_prob(samples.actions)))


def clipped_loss(distribution: Distribution, old: Distribution, samples: Samples, clip: float) -> Tensor:
    """-mean_t min(r_t A_t, clip(r_t, 1 - clip, 1 + clip) A_t) of the ratios r_t to pi_old.

    Schulman et al. 2017, equation 7: a state whose ratio has left the interval to the side that its advantage
    favours has no gradient any more.
    """
    ratio = torch.exp(log_ratios(distribution, samples._replace(log_probs=old.log_prob(samples.actions))))
    gain = torch.minimum(ratio * samples.advantages, ratio.clamp(1 - clip, 1 + clip) * samples.advantages)
    return -masked_mean(gain, samples.mask)


def mean_kl(old: Distribution, distribution: Distribution, mask: Tensor) -> Tensor:
    """KL(old || distribution), summed over action components and averaged over valid steps."""
    return masked_mean(old.kl(distribution), mask)  # pyright: ignore[reportArgumentType]
