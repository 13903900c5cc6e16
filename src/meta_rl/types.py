"""The data that flows through a meta-iteration.

Shape legend, used in every docstring of the package:

    N  tasks (the meta-batch size)          T  steps, the horizon
    K  episodes per task (fast batch size)  B  states of a task, at most K * T
    O  observation size                     A  action size             P  parameters of a task
"""

from typing import NamedTuple

import torch
from torch import Tensor

from meta_rl import ranks

# States of the tasks that are processed together: a few arrays of 4096 x 100 activations fit a core's cache.
STATES_PER_CHUNK = 4096

# Parameters of a policy, by name. Per-task parameters have a leading task axis: [N, ...].
Params = dict[str, Tensor]


class Trajectories(NamedTuple):
    """Raw episodes of every task, padded to the horizon. Padding has reward 0 and mask 0."""

    observations: Tensor  # [N, K, T, O] before the action
    actions: Tensor  # [N, K, T, A] as sampled: not clipped; [N, K, T, 1] of int64 if discrete
    rewards: Tensor  # [N, K, T]
    mask: Tensor  # [N, K, T] 1 while the episode ran, else 0; 0 in a step whose reward is not finite
    truncated: Tensor  # [N, K] True where the horizon, not the task, ended the episode
    last_observations: Tensor  # [N, K, O] after the last action of the batch; read where truncated
    log_probs: Tensor  # [N, K, T] of the actions under the policy that sampled them
    entropy: Tensor  # [N, K, T] of the distributions that they were drawn from, in nats


class Samples(NamedTuple):
    """What a policy-gradient loss needs, with episodes and steps flattened into states."""

    observations: Tensor  # [N, B, O]
    actions: Tensor  # [N, B, A], or [N, B, 1] of int64
    advantages: Tensor  # [N, B] normalised per task, or over all if pooled; 0 on padding
    mask: Tensor  # [N, B]
    log_probs: Tensor  # [N, B] of the actions under the policy that sampled them
    values: Tensor  # [N, B] of the baseline, in units of the advantages: their sum is the return to go
    episodes: Tensor  # [N, B] int64: which of the task's episodes; its states follow one another


class Experience(NamedTuple):
    """One phase of interaction: the episodes, ready for the loss, and what to report of them."""

    samples: Samples
    scale: Tensor  # [N] what the advantages were divided by
    returns: Tensor  # [N, K] undiscounted episode returns
    lengths: Tensor  # [N, K] episode lengths in steps
    explained_variance: Tensor  # [N] of the baseline on the discounted returns
    saturation: Tensor  # [N] fraction of action components outside [-1, 1], over valid steps
    entropy: Tensor  # [N] of the action distribution, mean over valid steps, in nats
    diverged: int  # episodes that failed: their simulation, or a number of it that is not finite
    seconds: float  # wall time of the rollout and the baseline
    directions: Params | None = None  # [N, K / 2, ...] of antithetic perturbations: each episode had its own

    def metrics(self, suffix: str) -> dict[str, float]:
        """Mean and spread over the tasks of all ranks, under names that end in `suffix`: `pre` or `post`."""
        steps = self.lengths.sum(-1)
        columns = self.returns.mean(-1), self.lengths.mean(-1), self.explained_variance, self.entropy
        by_task = torch.stack([*columns, self.saturation * steps, steps], 1)
        returns, lengths, explained, entropy, saturated, steps = ranks.gather(by_task).unbind(1)
        return {
            f"return_{suffix}": float(returns.mean()),
            f"return_{suffix}_std": float(returns.std(correction=0)),
            f"episode_length_{suffix}": float(lengths.mean()),
            f"entropy_{suffix}": float(entropy.mean()),
            f"saturation_{suffix}": float(saturated.sum() / steps.sum()),
            f"explained_variance_{suffix}": float(explained.mean()),
        }


class MetaBatch(NamedTuple):
    """What the data module feeds to one meta-iteration."""

    tasks: Tensor  # [N, P] one row per task, columns named by the environment
    support: Experience  # pre-adaptation episodes of the current policy
    iteration: int  # the meta-iteration that the episodes were sampled for


GOLDEN_RATIO = 0.6180339887498949


def pack(samples: Samples) -> Samples:
    """The valid states of every task in their order, padded only to those of the task that has most.

    Episodes that end early leave padding behind, for which every later product would be computed in vain. The
    tasks of other ranks count too: products over more padding round differently.
    """
    count = int(ranks.highest(samples.mask.sum(1).max()))
    return (
        samples if count == samples.mask.shape[1] else _take(samples, _valid_first(samples.mask)[:, :count])
    )


def thin(samples: Samples, fraction: float) -> Samples:
    """A share of the states of every task, spread evenly over its valid ones.

    `fraction` counts padded states too, so that all tasks keep the same number.
    """
    count = max(1, round(fraction * samples.mask.shape[1]))
    order = _valid_first(samples.mask)
    # One state from each of `count` equal spans of the valid ones, at a golden-ratio sequence of places: a
    # constant stride that divides the horizon would take the same time steps of every episode. Padding is
    # reached only where too few states are valid.
    span = (samples.mask.sum(1, keepdim=True) / count).clamp(min=1)
    index = torch.arange(count, device=order.device)
    places = (index * span + (index.double() * GOLDEN_RATIO).frac() * (span - 1)).long()
    return _take(samples, order.gather(1, places.clamp(max=order.shape[1] - 1)))


def _valid_first(mask: Tensor) -> Tensor:
    """The indices [N, B] of all states, those of the valid ones first."""
    return torch.argsort(mask, dim=1, descending=True, stable=True)


def _take(samples: Samples, index: Tensor) -> Samples:
    """The states of the indices [N, B']."""
    tasks = torch.arange(len(index), device=index.device)[:, None]
    return Samples(*(x[tasks, index] for x in samples))
