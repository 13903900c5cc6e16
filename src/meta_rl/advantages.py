"""From raw episodes to the samples of a policy-gradient loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from meta_rl import ranks
from meta_rl.baseline import features, fit_linear_baseline, predict
from meta_rl.returns import Total, discounted_sum, explained_variance, gae, normalise, own
from meta_rl.types import Samples, Trajectories

STATES_PER_CHUNK = 8192  # of the tasks whose baselines are fitted at once, so that their features stay cached


class AdvantageEstimator(NamedTuple):
    """Linear baseline, GAE and normalisation, per task or over all tasks.

    Attributes:
        gamma: Discount in (0, 1].
        gae_lambda: GAE's lambda in [0, 1].
        bootstrap_horizon: Continue an episode that the horizon cut off with the baseline's value, instead
            of treating the horizon as the end (the literature's habit, and the default). The baseline then
            has no features of time, and is fitted to the continued returns.
        pooled: Treat the episodes of all tasks, those of other ranks too, as those of one: a single
            baseline, a single normalisation.
    """

    gamma: float = 0.99
    gae_lambda: float = 1.0
    bootstrap_horizon: bool = False
    pooled: bool = False

    def __call__(self, episodes: Trajectories) -> tuple[Samples, Tensor]:
        """Samples with normalised advantages, and the baseline's explained variance [N]."""
        if not self.pooled:
            return self._per_task(episodes)
        tasks = len(episodes.rewards)
        samples, explained = self._per_task(Trajectories(*(x.flatten(0, 1)[None] for x in episodes)))
        return Samples(*(x[0].unflatten(0, (tasks, -1)) for x in samples)), explained.expand(tasks)

    def _per_task(self, episodes: Trajectories) -> tuple[Samples, Tensor]:
        returns = discounted_sum(episodes.rewards, self.gamma)
        chunk = max(1, STATES_PER_CHUNK // returns[0].numel())
        parts = zip(*(x.split(chunk) for x in (*episodes, returns)), strict=True)
        fits = [self._baseline(Trajectories(*part[:-1]), part[-1]) for part in parts]
        values, last_value = (torch.cat(x).to(returns) for x in zip(*fits, strict=True))
        to_end = self._discount_to_end(returns[..., None])
        continued = returns + to_end[:, 0] * last_value[..., None]
        advantages = gae(episodes.rewards, values, episodes.mask, self.gamma, self.gae_lambda, last_value)
        mask = episodes.mask.flatten(1)
        samples = Samples(
            observations=episodes.observations.flatten(1, 2),
            actions=episodes.actions.flatten(1, 2),
            advantages=normalise(advantages.flatten(1), mask, self._total),
            mask=mask,
            log_probs=episodes.log_probs.flatten(1),
        )
        return samples, explained_variance(values.flatten(1), continued.flatten(1), mask, self._total)

    def _baseline(self, episodes: Trajectories, returns: Tensor) -> tuple[Tensor, Tensor]:
        """Values [n, K, T] of a few tasks' states, and [n, K] of what follows the last, 0 for nothing."""
        x = features(episodes.observations, time=not self.bootstrap_horizon)  # [n, K, T, F]
        if not self.bootstrap_horizon:
            values = predict(fit_linear_baseline(x, returns, episodes.mask, self._total), x)
            return values, torch.zeros_like(values[..., 0])
        last = features(episodes.last_observations[:, :, None], time=False)
        last = last * episodes.truncated[..., None, None]
        to_end = self._discount_to_end(x)
        coefficients = fit_linear_baseline(x - to_end * last, returns, episodes.mask, self._total)
        return predict(coefficients, x), predict(coefficients, last).squeeze(-1)

    @property
    def _total(self) -> Total:
        """Over which steps a mean is one."""
        return ranks.total if self.pooled else own

    def _discount_to_end(self, x: Tensor) -> Tensor:
        """gamma^(T - t) as [T, 1], for an x [..., T, F].

        The return of an episode that goes on after the horizon is G_t + gamma^(T - t) V(s_T). With V = x w on
        both sides, the regression of it on x is one of G_t on x_t - gamma^(T - t) x_T.
        """
        steps = x.shape[-2]
        return (self.gamma ** torch.arange(steps, 0, -1, device=x.device, dtype=x.dtype))[:, None]
