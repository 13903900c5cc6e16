"""Adaptation curves in the middle of training: a callback for `trainer.callbacks`."""

import logging
from typing import cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from meta_rl.algorithms import MetaLearner
from meta_rl.errors import NonFiniteError
from meta_rl.evaluation.curve import evaluation_tasks
from meta_rl.evaluation.loaded import AdaptationSettings, LoadedPolicy
from meta_rl.evaluation.statistics import summarise_adaptation

logger = logging.getLogger(__name__)


class AdaptationCurve(Callback):
    """Logs what the policy returns on test tasks, as `eval_return_0`, `eval_return_1`, ... by gradient step.

    The tasks and the random numbers are always the same, and those of evaluate.py with the same arguments.
    Training does not notice: its numbers are the same with and without, and `env_steps` counts its own
    steps only. Of several processes each does the whole work. Where adaptation diverges there are no values.

    Args:
        every: Iterations between two curves.
        tasks: Test tasks.
        gradient_steps: Taken on each; none by a policy that never adapts.
        episodes: Per task and gradient step.
        seed: Decides tasks and episodes.

    Raises:
        ValueError: for a number below 1, and for negative `gradient_steps` or `seed`.
    """

    def __init__(
        self, every: int = 50, tasks: int = 40, gradient_steps: int = 3, episodes: int = 40, seed: int = 0
    ) -> None:
        for name, value in {"every": every, "tasks": tasks, "episodes": episodes}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, value in {"gradient_steps": gradient_steps, "seed": seed}.items():
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        self.every, self.tasks, self.seed = every, tasks, seed
        self.how = AdaptationSettings(gradient_steps, episodes, seed)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step % self.every:
            return
        learner = cast(MetaLearner, pl_module)
        policy = LoadedPolicy(learner, learner.datamodule, {}, "", trainer.global_step)
        env = learner.datamodule.env
        tasks = evaluation_tasks(env, self.tasks, self.seed)
        try:
            table = policy.adaptation_table(env, tasks, self.how)
        except NonFiniteError as error:
            logger.warning("iteration %d: adaptation to test tasks diverged, %s", trainer.global_step, error)
            return
        for step, value in enumerate(np.asarray(summarise_adaptation(table)["mean"], float)):
            learner.log(f"eval_return_{step}", value)
