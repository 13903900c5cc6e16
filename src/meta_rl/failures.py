"""Episodes that cannot go on: which ones, why, and whether the run goes on without them."""

import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from meta_rl import ranks
from meta_rl.errors import EpisodeError, Failure, NonFiniteError
from meta_rl.types import Trajectories

OnFailure = Literal["drop", "stop"]
log = logging.getLogger(__name__)


class Trace(NamedTuple):
    """What the environment has returned, before anything of it is left out."""

    rewards: Tensor  # [N, K, T]
    begun: Tensor  # [N, K, T] True where the episode was running before the step
    terminated: Tensor  # [N, K, T]


def finite(x: Tensor) -> Tensor:
    """Whether all numbers of x [..., O] are finite: [...]."""
    return (x - x).sum(-1) == 0  # a fifth of the time that isfinite takes, in every step of every rollout


def find_failures(trace: Trace, truncated: Tensor, reported: Sequence[Failure]) -> list[Failure]:
    """Every failed episode once, the earliest failure first.

    Args:
        trace: What the environment returned in all steps.
        truncated: [N, K] True where an episode reached the horizon.
        reported: Failures that the environment tells of; their causes are nearer to the origin.
    """
    paid = trace.begun & trace.rewards.isfinite()
    ended = (paid & trace.terminated).any(-1)
    failed = (~(truncated | ended)).nonzero().tolist()
    if not (failed or reported):
        return []
    lengths, rewards = trace.begun.sum(-1).tolist(), trace.rewards.cpu()
    found = {(i, k): _failure(i, k, rewards[i, k, : lengths[i][k]]) for i, k in failed}
    for failure in reported:
        i, k, step = failure[:3]
        if step < max(1, lengths[i][k]):  # what an ended episode does is of no interest
            found[i, k] = failure
    return sorted(found.values(), key=lambda failure: (failure.step, *failure[:2]))


def _failure(task: int, episode: int, rewards: Tensor) -> Failure:
    """What a failed episode with these rewards [steps begun] failed of."""
    steps = len(rewards)
    if steps and not rewards[-1].isfinite():
        return Failure(task, episode, steps - 1, f"reward is {float(rewards[-1])}")
    return Failure(task, episode, steps, "observation is not finite")


def judge(
    episodes: Trajectories, trace: Trace, failures: list[Failure], on_failure: OnFailure, first: int
) -> None:
    """Return if the run may go on, on all ranks alike.

    Args:
        episodes: The episodes of this rank.
        trace: What the environment returned in them.
        failures: The failed ones among them.
        on_failure: `stop` if a single failure stops the run. That of more than half of all episodes
            always does, since then there is rather a bug in the task family.
        first: Index of this rank's first task among those of all ranks.

    Raises:
        NonFiniteError: if an action is not finite. That is the policy's failure, not the environment's.
        EpisodeError: if the run has to stop for its failed episodes.
    """
    # A discrete action is always a number; its probability is not, where the policy is none.
    wild = ~(finite(episodes.actions) & episodes.log_probs.isfinite())  # [N, K, T]
    tally = torch.tensor([int(wild.any()), len(failures), wild[..., 0].numel()], dtype=torch.float64)
    wild_ranks, failed, total = map(int, ranks.total([tally.to(wild.device)]).tolist())
    dump = {**episodes._asdict(), "rewards": trace.rewards, "failures": [f._asdict() for f in failures]}
    if wild_ranks:
        raise NonFiniteError(_first_action(wild, first), dump)
    many = 2 * failed > total
    if failed and (many or on_failure == "stop"):
        cause = failures[0].named(first) if failures else "an episode failed on another rank"
        share = f"{failed} of {total} episodes failed, more than half; " if many else ""
        raise EpisodeError(share + cause, dump)


def warn(failures: list[Failure], first: int) -> None:
    """Say that the run goes on without what failed, and why the first episode of it did."""
    log.warning("episodes that failed and end there: %d, first %s", len(failures), failures[0].named(first))


def _first_action(wild: Tensor, first: int) -> str:
    if not wild.any():
        return "an action is not finite on another rank"
    step, task, episode = wild.permute(2, 0, 1).nonzero()[0].tolist()
    return Failure(task, episode, step, "action is not finite").named(first)
