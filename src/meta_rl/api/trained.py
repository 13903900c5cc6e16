"""A policy as training has left it: what can be done with it."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any, overload

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from meta_rl.api.adapted import AdaptedPolicy
from meta_rl.api.own_env import InTurn, OwnEnv
from meta_rl.envs import BatchedEnv
from meta_rl.errors import NonFiniteError
from meta_rl.evaluation.curve import adapt_policy, collector, evaluation_tasks
from meta_rl.evaluation.loaded import AdaptationSettings, LoadedPolicy
from meta_rl.policy import repeat
from meta_rl.randomness import Phase, TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Params

Task = Mapping[str, float] | Sequence[float]  # one task: by the names of its parameters, or in their order
Tasks = Sequence[Mapping[str, float]] | Sequence[Sequence[float]] | np.ndarray | Tensor  # [N, P]


class Trained:
    """A trained policy with its task family. `meta_rl.load` and `meta_rl.train` return one.

    Attributes:
        label: Name of the run.
        iteration: Meta-iterations of training; 0 for an untrained policy.
        config: The experiment, with all defaults: `model` and `data`.
        env: The task family.
        source: The file it was loaded from.
    """

    def __init__(self, loaded: LoadedPolicy, source: Path) -> None:
        self.loaded, self.source = loaded, source
        self.label, self.iteration, self.config = loaded.label, loaded.iteration, loaded.config
        self.env: BatchedEnv = loaded.data.env

    def __repr__(self) -> str:
        return f"<{self.label}: {self.algorithm} on {type(self.env).__name__}, iteration {self.iteration}>"

    @property
    def algorithm(self) -> str:
        """The method's name, such as MAML."""
        return type(self.loaded.learner).__name__

    @overload
    def adapt(
        self,
        env_or_tasks: "gym.Env[Any, Any] | Task",
        gradient_steps: int = ...,
        episodes: int = ...,
        seed: int = ...,
        inner_lr: Sequence[float] | float | None = ...,
    ) -> AdaptedPolicy: ...

    @overload
    def adapt(
        self,
        env_or_tasks: Tasks,
        gradient_steps: int = ...,
        episodes: int = ...,
        seed: int = ...,
        inner_lr: Sequence[float] | float | None = ...,
    ) -> list[AdaptedPolicy]: ...

    def adapt(
        self,
        env_or_tasks: Any,
        gradient_steps: int = 1,
        episodes: int = 40,
        seed: int = 0,
        inner_lr: Sequence[float] | float | None = None,
    ) -> AdaptedPolicy | list[AdaptedPolicy]:
        """Take policy-gradient steps on fresh episodes of a task, or of several at once.

        Args:
            env_or_tasks: A Gymnasium environment of your own, whose actions in [-1, 1] are scaled to its Box;
                or a task of the family, by names or in order; or several tasks [N, P].
            gradient_steps: How many; 0 for the policy as trained. One that never adapts takes none.
            episodes: Per task and gradient step, each as long as in training, or until it ends.
            seed: Decides the episodes' noise. As in evaluation: `curve` with this seed meets the same.
            inner_lr: A rate, or one a step, the last for all later ones; None for those of training.

        Returns:
            The adapted policy, or for several tasks a list of them.

        Raises:
            ValueError: for an environment or a task that does not fit the policy.
            NonFiniteError: if adaptation diverges.
        """
        how = _settings(gradient_steps, episodes, seed, inner_lr)
        own = OwnEnv(env_or_tasks, self._view) if isinstance(env_or_tasks, gym.Env) else None
        spaces = own.env if own else self._view  # whose actions the policy's are scaled to
        tasks = torch.zeros(1, 0) if own else self._rows(env_or_tasks)
        estimator, on_failure = self.loaded.data.estimator, self.loaded.data.on_failure
        sampler = (InTurn if own else Sampler)(own or self._view, episodes, estimator, on_failure)
        params, returns = self._steps(sampler, tasks, how)
        adapted = [
            AdaptedPolicy(
                self.loaded.learner.policy,
                {name: value[i] for name, value in params.items()},
                spaces.observation_space,
                spaces.action_space,
                returns[i],
                seed,
            )
            for i in range(len(tasks))
        ]
        return adapted[0] if own or _is_one(env_or_tasks) else adapted

    def curve(
        self,
        tasks: "int | Task | Tasks" = 40,
        gradient_steps: int | None = None,
        episodes: int = 40,
        seed: int = 0,
        inner_lr: Sequence[float] | float | None = None,
    ) -> pd.DataFrame:
        """Returns after 0, 1, ... gradient steps, as `evaluate` measures them: the table of adaptation.csv.

        Args:
            tasks: How many to draw apart from those of training, or the tasks themselves.
            gradient_steps: How many; None for 3, or 0 for a policy that never adapts.
            episodes: Per task and gradient step.
            seed: Decides the tasks that are drawn, and the episodes' noise.
            inner_lr: As in `adapt`.
        """
        how = _settings(gradient_steps, episodes, seed, inner_lr)
        if isinstance(tasks, Integral):
            if tasks < 1:
                raise ValueError(f"tasks must be at least 1, got {tasks}")
            rows = evaluation_tasks(self.env, int(tasks), seed)
        else:
            rows = self._rows(tasks)
        return self.loaded.adaptation_table(self.env, rows, how)

    def film(
        self,
        tasks: "Task | Tasks",
        folder: str | Path = "films",
        gradient_steps: int | None = 1,
        episodes: int = 40,
        seed: int = 0,
        inner_lr: Sequence[float] | float | None = None,
    ) -> list[Path]:
        """Film an episode before and after every gradient step on a task, or on several: MP4s, beside GIFs.

        Args:
            tasks: One task of the family or several, as in `adapt`.
            folder: Where to write task-0.mp4, task-0.gif, ...; films of an earlier call go.
            gradient_steps: How many; None for 3, or 0 for a policy that never adapts.
            episodes: Per task and gradient step, to adapt with.
            seed: Decides the episodes' noise.
            inner_lr: As in `adapt`.

        Returns:
            The MP4 of each task; for tasks given twice, of the first one.

        Raises:
            UserError: if the family has no robot to show, or the machine nothing to draw with.
        """
        from meta_rl.evaluation.film import write_videos

        rows = self._rows(tasks)
        how = _settings(gradient_steps, episodes, seed, inner_lr)
        return write_videos(self.loaded, rows, len(rows), how, Path(folder))

    def push_to_hub(self, repo_id: str, curve: pd.DataFrame | None = None, private: bool = False) -> str:
        """Put the checkpoint and a model card on the Hugging Face Hub; its address there.

        Args:
            repo_id: OWNER/NAME, made if it is new. `meta_rl.load("hf://OWNER/NAME")` loads it again.
            curve: Measured returns for the card; `curve()` if None.
            private: Whether a new one is.

        Raises:
            UserError: if there is no checkpoint to push, huggingface_hub is not installed, or refuses.
        """
        from meta_rl.api.hub import push

        return push(self, repo_id, self.curve() if curve is None else curve, private)

    @cached_property
    def _view(self) -> BatchedEnv:
        """The task family as the policy sees it: an oracle's shows the task."""
        return self.loaded.learner.environment(self.env)

    def _rows(self, tasks: Any) -> Tensor:
        """One task or several as rows [N, P]. May raise a ValueError."""
        rows = [tasks] if _is_one(tasks) else tasks
        return torch.tensor([self.env.task_row(row) for row in rows], dtype=torch.float32)

    def _steps(self, sampler: Sampler, tasks: Tensor, how: AdaptationSettings) -> tuple[Params, np.ndarray]:
        """Parameters [N, ...] after the steps, and the returns [N, steps, K] of the episodes before each."""
        learner, inner = self.loaded.learner, self.loaded.test_time(how.inner_lr)
        steps = self.loaded.gradient_steps(how.gradient_steps)
        if steps == 0:
            return repeat(learner.theta(), len(tasks)), np.zeros((len(tasks), 0, sampler.episodes))
        streams = TaskStreams(how.seed, 0, Phase.EVALUATION_EPISODES)
        tasks = tasks.to(next(learner.policy.parameters()))
        pairs = [*adapt_policy(learner.policy, inner, sampler, tasks, steps - 1, streams)]
        collect = collector(learner.policy, sampler, tasks, streams)
        with torch.no_grad():  # the last step, without the episodes that would follow it
            params = inner.advance(pairs[-1][0], collect, pairs[-1][1]).params
        if not all(bool(value.isfinite().all()) for value in params.values()):
            raise NonFiniteError("adaptation diverged: a parameter is not finite; try a smaller inner_lr")
        return params, torch.stack([episodes.returns for _, episodes in pairs], 1).numpy()


def _settings(
    gradient_steps: int | None, episodes: int, seed: int, inner_lr: Sequence[float] | float | None
) -> AdaptationSettings:
    """The same, checked. May raise a ValueError."""
    if episodes < 1 or (gradient_steps or 0) < 0:
        raise ValueError(
            f"episodes must be at least 1 and gradient_steps 0, got {episodes}, {gradient_steps}"
        )
    rates = [float(inner_lr)] if isinstance(inner_lr, int | float) else inner_lr
    return AdaptationSettings(gradient_steps, episodes, seed, rates)


def _is_one(tasks: Any) -> bool:
    """Whether this is one task, rather than several. May raise a ValueError."""
    if np.ndim(tasks) == 0 and not isinstance(tasks, Mapping):
        raise ValueError(f"expected a task or several of them, got {tasks!r}")
    numbers = (np.ndim(x) == 0 and not isinstance(x, Mapping) for x in tasks)
    return isinstance(tasks, Mapping) or all(numbers)
