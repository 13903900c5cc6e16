"""From raw episodes to the samples of a policy-gradient loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from meta_rl.baseline import fit_linear_baseline, predict
from meta_rl.returns import discounted_sum, explained_variance, gae, normalise
from meta_rl.types import Samples, Trajectories


class AdvantageEstimator(NamedTuple):
    """Linear baseline, GAE and normalisation, per task.

    Attributes:
        gamma: Discount in (0, 1].
        gae_lambda: GAE's lambda in [0, 1].
        bootstrap_horizon: Continue an episode that the horizon cut off with the baseline's value, instead
            of treating the horizon as the end (the literature's habit, and the default).
    """

    gamma: float = 0.99
    gae_lambda: float = 1.0
    bootstrap_horizon: bool = False

    def __call__(self, episodes: Trajectories) -> tuple[Samples, Tensor]:
        """Samples with normalised advantages, and the baseline's explained variance [N]."""
        returns = discounted_sum(episodes.rewards, self.gamma)
        coefficients = fit_linear_baseline(episodes.observations, returns, episodes.mask)
        values = predict(coefficients, episodes.observations)
        last_value = torch.zeros_like(values[..., 0])
        if self.bootstrap_horizon:
            steps = episodes.rewards.shape[-1]
            last = predict(coefficients, episodes.last_observations[:, :, None], first_step=steps)
            last_value = last.squeeze(-1) * episodes.truncated
        advantages = gae(episodes.rewards, values, episodes.mask, self.gamma, self.gae_lambda, last_value)
        mask = episodes.mask.flatten(1)
        samples = Samples(
            observations=episodes.observations.flatten(1, 2),
            actions=episodes.actions.flatten(1, 2),
            advantages=normalise(advantages.flatten(1), mask),
            mask=mask,
        )
        return samples, explained_variance(values.flatten(1), returns.flatten(1), mask)
