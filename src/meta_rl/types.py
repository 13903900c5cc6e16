"""The data that flows through a meta-iteration.

Shape legend, used in every docstring of the package:

    N  tasks (the meta-batch size)          T  steps, the horizon
    K  episodes per task (fast batch size)  B  states of a task, at most K * T
    O  observation size                     A  action size             P  parameters of a task
"""

from typing import NamedTuple

from torch import Tensor

# Parameters of a policy, by name. Per-task parameters have a leading task axis: [N, ...].
Params = dict[str, Tensor]


class Trajectories(NamedTuple):
    """Raw episodes of every task, padded to the horizon. Padding has reward 0 and mask 0."""

    observations: Tensor  # [N, K, T, O] before the action
    actions: Tensor  # [N, K, T, A] as sampled: not clipped
    rewards: Tensor  # [N, K, T]
    mask: Tensor  # [N, K, T] 1 while the episode ran, else 0; 0 in a step whose reward is not finite
    truncated: Tensor  # [N, K] True where the horizon, not the task, ended the episode
    last_observations: Tensor  # [N, K, O] after the last action of the batch; read where truncated
    log_probs: Tensor  # [N, K, T] of the actions under the policy that sampled them


class Samples(NamedTuple):
    """What a policy-gradient loss needs, with episodes and steps flattened into states."""

    observations: Tensor  # [N, B, O]
    actions: Tensor  # [N, B, A]
    advantages: Tensor  # [N, B] normalised per task, or over all if pooled; 0 on padding
    mask: Tensor  # [N, B]
    log_probs: Tensor  # [N, B] of the actions under the policy that sampled them


class Batch(NamedTuple):
    """One phase of interaction: the episodes, ready for the loss, and what to report of them."""

    samples: Samples
    returns: Tensor  # [N, K] undiscounted episode returns
    lengths: Tensor  # [N, K] episode lengths in steps
    explained_variance: Tensor  # [N] of the baseline on the discounted returns
    saturation: Tensor  # [] fraction of action components outside [-1, 1], over valid steps
    entropy: Tensor  # [] of the action distribution at the first state, in nats, mean over tasks
    diverged: int  # episodes that failed: their simulation, or a number of it that is not finite
    seconds: float  # wall time of the rollout and the baseline


class MetaBatch(NamedTuple):
    """What the data module feeds to one meta-iteration."""

    tasks: Tensor  # [N, P] one row per task, columns named by the environment
    support: Batch  # pre-adaptation episodes of the current policy
    iteration: int  # the meta-iteration that the episodes were sampled for
