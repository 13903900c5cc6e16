"""Observations in units of their running spread."""

import torch
from torch import Tensor, nn

from meta_rl import ranks

LIMIT = 10.0  # standard deviations: a rare collision must not drown every other observation
OUTLIER = 100.0  # standard deviations, of 1 at least: as far as a state may pull the statistics
VARIANCE_FLOOR = 1e-8  # added to the variance: an observation that never varies stays 0


class RunningNormalizer(nn.Module):
    """(x - mean) / std of every observation, over all states it was shown; the identity before the first.

    The statistics are buffers, so that a checkpoint holds them; they have no gradient, and adaptation to a
    task leaves them alone. They change only in `update`, between iterations: within one, the policies that
    collect the episodes, adapt and are improved see one and the same scale.

    Args:
        size: O, the number of observations.
    """

    mean: Tensor  # [O]
    variance: Tensor  # [O]
    count: Tensor  # [] states so far

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, observations: Tensor) -> Tensor:
        """Normalised observations [..., O], within +-LIMIT."""
        scale = (self.variance + VARIANCE_FLOOR).rsqrt().to(observations)
        return ((observations - self.mean.to(observations)) * scale).clamp(-LIMIT, LIMIT)

    @torch.no_grad()
    def update(self, observations: Tensor, mask: Tensor) -> None:
        """Take in the valid states of all ranks (Chan, Golub and LeVeque 1983, equation 2.1).

        Once there are statistics, a state counts as at most `OUTLIER` standard deviations from their mean: a
        simulation that explodes would otherwise hide all differences between ordinary states for good.

        Args:
            observations: [N, B, O].
            mask: [N, B], 1 for a valid state and 0 for padding.
        """
        weights = mask.double()[..., None]
        # About the old mean, so that nothing cancels.
        x = observations.double() - self.mean
        if self.count > 0:
            far = OUTLIER * self.variance.sqrt().clamp(min=1)
            x = x.clamp(-far, far)
        x = x * weights
        columns = weights.sum(1).expand(-1, x.shape[-1]), x.sum(1), x.square().sum(1)
        sums = ranks.sum_over_tasks(torch.stack(columns, 1))
        new, shift = sums[0, 0], sums[1] / sums[0].clamp(min=1)
        total = self.count + new
        if total == 0:
            return
        spread = sums[2] - new * shift.square()  # of the new states about their own mean
        spread = spread + self.count * self.variance + self.count * new / total * shift.square()
        self.variance.copy_((spread / total).clamp(min=0))
        self.mean.add_(shift * new / total)
        self.count.copy_(total)
