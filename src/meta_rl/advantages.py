"""From raw episodes to the samples of a policy-gradient loss: discounted returns, generalised advantage
estimation, normalisation; all on padded episodes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meta_rl import ranks, threads
from meta_rl.baseline import features, fit_linear_baseline, moments, predict, solve
from meta_rl.types import STATES_PER_CHUNK, Samples, Trajectories

EPSILON = 1e-8

Total = Callable[[Tensor], Tensor]  # of sums [N, ...] over each task's states, what a mean is taken over


def own(x: Tensor) -> Tensor:
    """The sums of the tasks themselves: every mean is one over the states of a task."""
    return x


def of_all(x: Tensor) -> Tensor:
    """The sum over the tasks of all ranks, in the place of each task's own: a mean is one over all states."""
    return ranks.sum_over_tasks(x).to(x).expand_as(x)


def discounted_sum(x: Tensor, discount: float) -> Tensor:
    """y_t = x_t + discount * y_{t+1} along the last axis."""
    y = torch.empty_like(x)
    running = torch.zeros_like(x[..., 0])
    for t in range(x.shape[-1] - 1, -1, -1):
        running = x[..., t] + discount * running
        y[..., t] = running
    return y


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float, last_value: Tensor
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, equations 11 and 16); 0 on padding.

    Args:
        rewards: [..., T], 0 on padding.
        values: [..., T] baseline's values of the observations.
        mask: [..., T] 1 on valid steps.
        gamma: Discount.
        gae_lambda: 1 gives discounted returns minus the baseline.
        last_value: [...] value of the observation after step T; 0 where the episode has ended.
    """
    values = values * mask
    following = torch.cat([values[..., 1:], last_value[..., None]], -1)
    delta = (rewards + gamma * following - values) * mask
    return discounted_sum(delta, gamma * gae_lambda) * mask


def masked_mean(x: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """Mean of x [..., B] over the valid entries of the last axis: [...]; 0 where there is none."""
    # In float64, so that a float32 comes out alike however the entries are shared out among ranks.
    sums = total((x * mask).sum(-1, dtype=torch.float64))
    counts = total(mask.sum(-1, dtype=torch.float64))
    return (sums / counts.clamp(min=1)).to(x)


def normalise(x: Tensor, mask: Tensor, total: Total = own) -> tuple[Tensor, Tensor, Tensor]:
    """Zero mean and unit standard deviation over the valid entries of the last axis; 0 on padding.

    Returns:
        The normalised x, and the mean and the scale [...] that it had.
    """
    mean = masked_mean(x, mask, total)
    centred = (x - mean[..., None]) * mask
    scale = masked_mean(centred.square(), mask, total).sqrt() + EPSILON
    return centred / scale[..., None], mean, scale


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, total: Total = own) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over the valid entries of the last axis: [...]; 0 for none."""

    def variance(x: Tensor) -> Tensor:
        return masked_mean((x - masked_mean(x, mask, total)[..., None]).square(), mask, total)

    explained = 1 - variance(returns - values) / variance(returns).clamp(min=EPSILON)
    return explained * (mask > 0).any(-1)


def _episode_of_states(mask: Tensor) -> Tensor:
    """For a mask [N, K, T] the index of every state's episode: [N, K * T]."""
    n, k, t = mask.shape
    return torch.arange(k, device=mask.device).repeat_interleave(t).expand(n, -1)


@dataclass(frozen=True)
class AdvantageEstimator:
    """Linear baseline, GAE and normalisation, per task or over all tasks.

    Args:
        gamma: Discount in (0, 1].
        gae_lambda: GAE's lambda in [0, 1].
        bootstrap_horizon: Continue an episode that the horizon cut off with the baseline's value, instead
            of treating the horizon as the end (the literature's habit, and the default). The baseline then
            has no features of time, and is fitted to the continued returns.
        pooled: Treat the episodes of all tasks, those of other ranks too, as those of one: a single
            baseline, a single normalisation.

    Raises:
        ValueError: for values outside their range.
    """

    gamma: float = 0.99
    gae_lambda: float = 1.0
    bootstrap_horizon: bool = False
    pooled: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must lie in (0, 1], got {self.gamma}")
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda must lie in [0, 1], got {self.gae_lambda}")

    def __call__(self, episodes: Trajectories) -> tuple[Samples, Tensor, Tensor]:
        """Samples with normalised advantages, their scale before that [N], the explained variance [N]."""
        total = of_all if self.pooled else own
        returns = discounted_sum(episodes.rewards, self.gamma)
        values, last_value = (x.to(returns) for x in self._baseline(episodes, returns))
        to_end = self._discount_to_end(returns[..., None])
        continued = returns + to_end[:, 0] * last_value[..., None]
        advantages = gae(episodes.rewards, values, episodes.mask, self.gamma, self.gae_lambda, last_value)
        mask = episodes.mask.flatten(1)
        normalised, mean, scale = normalise(advantages.flatten(1), mask, total)
        samples = Samples(
            observations=episodes.observations.flatten(1, 2),
            actions=episodes.actions.flatten(1, 2),
            advantages=normalised,
            mask=mask,
            log_probs=episodes.log_probs.flatten(1),
            values=(values.flatten(1) + mean[:, None]) / scale[:, None] * mask,
            episodes=_episode_of_states(episodes.mask),
        )
        return samples, scale, explained_variance(values.flatten(1), continued.flatten(1), mask, total)

    def _baseline(self, episodes: Trajectories, returns: Tensor) -> tuple[Tensor, Tensor]:
        """Values [N, K, T] of all states, and [N, K] of what follows the last one, 0 for nothing.

        The features of a chunk of tasks stay in the cache; with a baseline for all they are made twice.
        """
        chunks = ranks.chunks(len(returns), returns[0].numel(), STATES_PER_CHUNK)
        parts = [(Trajectories(*(x[part] for x in episodes)), returns[part]) for part in chunks]
        shared: Tensor | None = None
        if self.pooled:

            def sums(part: tuple[Trajectories, Tensor]) -> Tensor:
                return moments(self._regressors(*self._features(part[0])), part[1], part[0].mask).sum(0)

            shared = solve(ranks.total(threads.each(sums, parts))[None])

        def values_of(part: tuple[Trajectories, Tensor]) -> tuple[Tensor, Tensor]:
            x, last = self._features(part[0])
            if shared is None:
                fitted = fit_linear_baseline(self._regressors(x, last), part[1], part[0].mask)
            else:
                fitted = shared.expand(len(x), -1)
            return predict(fitted, x), predict(fitted, last).squeeze(-1)

        values, last_values = zip(*threads.each(values_of, parts), strict=True)
        return torch.cat(values), torch.cat(last_values)

    def _features(self, episodes: Trajectories) -> tuple[Tensor, Tensor]:
        """Those of all states [n, K, T, F] and of the last ones [n, K, 1, F], 0 where nothing follows."""
        x = features(episodes.observations, time=not self.bootstrap_horizon)
        if not self.bootstrap_horizon:
            return x, torch.zeros_like(x[:, :, :1])
        last = features(episodes.last_observations[:, :, None], time=False)
        return x, last * episodes.truncated[..., None, None]

    def _regressors(self, x: Tensor, last: Tensor) -> Tensor:
        """What the returns are regressed on, so that the coefficients are the baseline's: [n, K, T, F]."""
        return x - self._discount_to_end(x) * last if self.bootstrap_horizon else x

    def _discount_to_end(self, x: Tensor) -> Tensor:
        """gamma^(T - t) as [T, 1], for an x [..., T, F].

        The return of an episode that goes on after the horizon is G_t + gamma^(T - t) V(s_T). With V = x w on
        both sides, the regression of it on x is one of G_t on x_t - gamma^(T - t) x_T.
        """
        steps = x.shape[-2]
        return (self.gamma ** torch.arange(steps, 0, -1, device=x.device, dtype=x.dtype))[:, None]
