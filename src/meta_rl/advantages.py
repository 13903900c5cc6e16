"""From raw episodes to the samples of a policy-gradient loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from meta_rl.baseline import features, fit_linear_baseline, predict
from meta_rl.returns import discounted_sum, explained_variance, gae, normalise
from meta_rl.types import Samples, Trajectories


class AdvantageEstimator(NamedTuple):
    """Linear baseline, GAE and normalisation, per task.

    Attributes:
        gamma: Discount in (0, 1].
        gae_lambda: GAE's lambda in [0, 1].
        bootstrap_horizon: Continue an episode that the horizon cut off with the baseline's value, instead
            of treating the horizon as the end (the literature's habit, and the default). The baseline then
            has no features of time, and is fitted to the continued returns.
    """

    gamma: float = 0.99
    gae_lambda: float = 1.0
    bootstrap_horizon: bool = False

    def __call__(self, episodes: Trajectories) -> tuple[Samples, Tensor]:
        """Samples with normalised advantages, and the baseline's explained variance [N]."""
        returns = discounted_sum(episodes.rewards, self.gamma)
        x = features(episodes.observations, time=not self.bootstrap_horizon)  # [N, K, T, F]
        last = torch.zeros_like(x[:, :, -1:])
        if self.bootstrap_horizon:
            last = features(episodes.last_observations[:, :, None], time=False)
            last = last * episodes.truncated[..., None, None]
        to_end = self._discount_to_end(x)
        coefficients = fit_linear_baseline(x - to_end * last, returns, episodes.mask)
        values = predict(coefficients, x).to(returns)
        last_value = predict(coefficients, last).squeeze(-1).to(returns)  # 0 where nothing follows
        continued = returns + to_end[:, 0].to(returns) * last_value[..., None]
        advantages = gae(episodes.rewards, values, episodes.mask, self.gamma, self.gae_lambda, last_value)
        mask = episodes.mask.flatten(1)
        samples = Samples(
            observations=episodes.observations.flatten(1, 2),
            actions=episodes.actions.flatten(1, 2),
            advantages=normalise(advantages.flatten(1), mask),
            mask=mask,
        )
        return samples, explained_variance(values.flatten(1), continued.flatten(1), mask)

    def _discount_to_end(self, x: Tensor) -> Tensor:
        """gamma^(T - t) as [T, 1].

        The return of an episode that goes on after the horizon is G_t + gamma^(T - t) V(s_T). With V = x w on
        both sides, the regression of it on x is one of G_t on x_t - gamma^(T - t) x_T.
        """
        steps = x.shape[-2]
        return (self.gamma ** torch.arange(steps, 0, -1, device=x.device, dtype=x.dtype))[:, None]
