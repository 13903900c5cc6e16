"""What meta-learning has to beat, and what it can reach at best (Finn et al. 2017, section 5.3)."""

from typing import Any, cast

from meta_rl.algorithms.base import MetaLearner, Timer, box_size
from meta_rl.algorithms.outer import ObjectiveLearner
from meta_rl.envs import BatchedEnv
from meta_rl.envs.observe_task import ObserveTask
from meta_rl.policy import repeat
from meta_rl.types import MetaBatch


class Pretrained(ObjectiveLearner):
    """TRPO on the episodes of all tasks as if they were of one; adaptation only happens when testing.

    `inner_lr` and `adapt_log_std` are those of testing, and `num_inner_steps` has no meaning here.

    Args:
        **kwargs: Those of `ObjectiveLearner`.
    """

    pooled = True

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        timer, episodes = Timer(), batch.support
        theta = repeat(self.theta(), len(batch.tasks))
        objective = self.objective([], theta, episodes, first_order=True)
        loss, _, numbers = self.outer_gradient(objective, timer)
        self.require_finite(batch, numbers, [episodes])
        numbers |= self.outer_step(objective, loss, timer)
        self.log_iteration(batch, [episodes], episodes, timer, numbers)


class Oracle(Pretrained):
    """The same with a policy that observes the task's parameters, so that it need not adapt, and never does.

    Args:
        pooled: Whether the episodes of all tasks make one baseline and one normalisation. A linear baseline
            that sees the task cannot tell how it changes a state's value; one for each task can.
        **kwargs: Those of `ObjectiveLearner`.
    """

    adapts = False

    def __init__(self, pooled: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooled = pooled

    def environment(self, env: BatchedEnv) -> BatchedEnv:
        if isinstance(env, ObserveTask):
            return env
        for space in ("observation_space", "task_space"):
            box_size(env, space)
        return cast(BatchedEnv, ObserveTask(env))


class Random(MetaLearner):
    """The initial weights, adapted when testing: it has no `training_step`.

    The arguments are those of `MetaLearner`.
    """
