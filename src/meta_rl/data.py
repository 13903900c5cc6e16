"""The data of meta-reinforcement-learning: fresh tasks and fresh episodes of the current policy."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import lightning as L
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from meta_rl import ranks
from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import BatchedEnv
from meta_rl.errors import NonFiniteError
from meta_rl.failures import OnFailure
from meta_rl.policy import repeat
from meta_rl.randomness import Phase, TaskStreams, generator
from meta_rl.rollout import Sampler
from meta_rl.types import Experience, MetaBatch, Params

ITERATIONS_PER_EPOCH = 100  # what one of max_epochs stands for


class RolloutDataModule(L.LightningDataModule):
    """Feeds one `MetaBatch` per meta-iteration, collected with the policy as it stands at that moment.

    Args:
        env: The task family.
        meta_batch_size: Tasks per meta-iteration, of all ranks together.
        fast_batch_size: Episodes per task and gradient step.
        on_failure: What an episode does that fails, as its simulation diverges, its environment raises an
            exception, or a number of it is not finite: `drop` it from there on, or `stop` the run. A phase
            in which more than half of the episodes fail stops the run anyway.
        seed: Seed of all tasks, episodes and initial weights.
        **advantages: How advantages are estimated: the arguments of `AdvantageEstimator` but for `pooled`.

    Raises:
        ValueError: for values outside their range.
    """

    def __init__(
        self,
        env: BatchedEnv,
        meta_batch_size: int = 40,
        fast_batch_size: int = 20,
        on_failure: OnFailure = "drop",
        seed: int = 1,
        **advantages: Any,
    ) -> None:
        super().__init__()
        if meta_batch_size < 1:
            raise ValueError(f"meta_batch_size must be at least 1 task, got {meta_batch_size}")
        if fast_batch_size < 1:
            raise ValueError(f"fast_batch_size must be at least 1 episode, got {fast_batch_size}")
        if on_failure not in ("drop", "stop"):
            raise ValueError(f"on_failure must be drop or stop, got {on_failure}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.env = env
        self.meta_batch_size = meta_batch_size
        self.fast_batch_size = fast_batch_size
        self.on_failure: OnFailure = on_failure
        self.seed = seed
        self.estimator = AdvantageEstimator(pooled=False, **advantages)
        self.sample_from(env)

    def sample_from(self, env: BatchedEnv, pooled: bool = False) -> None:
        """Collect from `env`, which may show more of the tasks than `self.env`.

        Args:
            env: A task family with the tasks of `self.env`.
            pooled: Whether baseline and normalisation are those of all tasks together.
        """
        estimator = replace(self.estimator, pooled=pooled)
        self.sampler = Sampler(env, self.fast_batch_size, estimator, self.on_failure)

    def share(self) -> slice:
        """Which of an iteration's tasks are this rank's. May raise a ValueError."""
        tasks, left = divmod(self.meta_batch_size, ranks.size())
        if left:
            raise ValueError(f"{self.meta_batch_size} tasks cannot be shared out to {ranks.size()} ranks")
        return slice(ranks.index() * tasks, (ranks.index() + 1) * tasks)

    def collect(
        self,
        policy: nn.Module,
        params: Params,
        tasks: Tensor,
        iteration: int,
        phase: int,
        sigma: float = 0.0,
        alike: int = 1,
    ) -> Experience:
        """Episodes of per-task parameters [N, ...] on `tasks`, from the streams of (iteration, phase).

        Args:
            policy: The policy.
            params: The parameters.
            tasks: [N, P]; all ranks have as many, one after the other.
            iteration: The meta-iteration.
            phase: What the episodes are for.
            sigma: As in `Sampler.collect`.
            alike: As in `TaskStreams`.

        Raises:
            NonFiniteError: as `Sampler.collect`; its dump says where it happened.
        """
        try:
            streams = TaskStreams(self.seed, iteration, phase, ranks.index() * len(tasks), alike)
            return self.sampler.collect(policy, params, tasks, streams, sigma)
        except NonFiniteError as error:
            error.dump |= {"iteration": iteration, "phase": int(phase), "tasks": tasks, "params": params}
            error.dump |= {"statistics": dict(policy.named_buffers())}
            raise

    def meta_batch(self, policy: nn.Module, params: Params, iteration: int) -> MetaBatch:
        """This rank's tasks of a meta-iteration, and episodes of the parameters [...] on them."""
        stream = generator(self.seed, iteration, Phase.TASKS)
        tasks = self.env.sample_tasks(self.meta_batch_size, stream)[self.share()]
        tasks = tasks.to(next(iter(params.values())))
        shared = repeat(params, len(tasks))
        return MetaBatch(tasks, self.collect(policy, shared, tasks, iteration, Phase.SUPPORT), iteration)

    def train_dataloader(self) -> DataLoader[MetaBatch]:
        # No batching, no workers: every item is made in this process when it is asked for.
        return DataLoader(_MetaBatches(self), batch_size=None, num_workers=0)


class _MetaBatches(IterableDataset[MetaBatch]):
    """An epoch of meta-batches."""

    def __init__(self, datamodule: RolloutDataModule) -> None:
        self.datamodule = datamodule

    def __len__(self) -> int:
        # Its very existence matters: without a length Lightning fetches one item ahead, and the episodes
        # would come from a policy one version old.
        trainer = self.datamodule.trainer
        return trainer.max_steps if trainer is not None and trainer.max_steps > 0 else ITERATIONS_PER_EPOCH

    def __iter__(self) -> Iterator[MetaBatch]:
        trainer = self.datamodule.trainer
        assert trainer is not None
        learner: Any = trainer.lightning_module  # a MetaLearner; importing it here would be circular
        while True:  # the data loader's length ends the epoch
            yield self.datamodule.meta_batch(learner.policy, learner.theta(), trainer.global_step)
