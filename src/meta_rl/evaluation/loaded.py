"""Policies to evaluate: of a checkpoint, or freshly initialised from a configuration."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor

from meta_rl.algorithms import MetaLearner
from meta_rl.data import RolloutDataModule
from meta_rl.envs import BatchedEnv
from meta_rl.errors import UserError, one_line
from meta_rl.evaluation.curve import adaptation_curve, adaptation_frame
from meta_rl.evaluation.embedded import check_embedded
from meta_rl.inner import InnerLoop
from meta_rl.run.checkpoint import load_checkpoint
from meta_rl.run.config import instantiate, read_config, resolve
from meta_rl.run.plain import portable

DEFAULT_GRADIENT_STEPS = 3
logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # no word on its own seed, unused here


class LoadedPolicy(NamedTuple):
    """A learner with its policy, and what it needs to be evaluated."""

    learner: MetaLearner
    data: RolloutDataModule
    config: dict[str, Any]  # the experiment's, with all defaults
    label: str
    iteration: int  # of training; 0 where it has not been trained

    @property
    def trained(self) -> bool:
        return self.iteration > 0

    def gradient_steps(self, asked: int | None) -> int:
        """How many are taken on a task: as asked, else the default; none if the policy never adapts."""
        if not self.learner.adapts:
            return 0
        return DEFAULT_GRADIENT_STEPS if asked is None else asked

    def test_time(self, rates: Sequence[float] | None = None) -> InnerLoop:
        """Plain gradient steps, whatever optimizer training used, at `rates` or at those of training."""
        inner = self.learner.inner
        return InnerLoop(
            self.learner.policy,
            rates or inner.rates,
            adapt_log_std=inner.adapt_log_std,
            scale_by_variance=inner.scale_by_variance,
            loss=inner.loss,
        )

    def adapt(
        self,
        env: BatchedEnv,
        tasks: Tensor,
        gradient_steps: int,
        episodes: int,
        seed: int,
        rates: Sequence[float] | None = None,
    ) -> pd.DataFrame:
        """Adapt to tasks [N, P] of `env`; the table of adaptation.csv. May raise a NonFiniteError."""
        view, inner = self.learner.environment(env), self.test_time(rates)
        data, policy = self.data, self.learner.policy
        returns = adaptation_curve(
            policy, inner, view, tasks, gradient_steps, episodes, data.estimator, seed, data.on_failure
        )
        return adaptation_frame(env, tasks, returns)


def load_trained(path: Path) -> LoadedPolicy:
    """The policy of a checkpoint. Raises a UserError if the file is not what it should be."""
    saved = load_checkpoint(path)
    config = saved["meta_rl"]["config"]
    try:
        check_embedded(config)
        policy = _build(config, config["name"], saved["global_step"])
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from None
    try:
        policy.learner.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        reason = one_line(error)
        raise UserError(f"checkpoint {path}: its weights do not fit its own config: {reason}") from None
    return policy


def load_untrained(path: Path) -> LoadedPolicy:
    """The initial policy of an experiment in a YAML file. Raises a UserError if there is none."""
    config = read_config(path)
    policy = _build(config, config["name"] or path.stem, iteration=0)
    return policy._replace(label=f"{policy.label}, untrained") if policy.learner.trainable() else policy


def load_run(path: Path) -> LoadedPolicy:
    """The last policy of a run's directory, that of a checkpoint, or the initial one of a YAML file.

    Raises:
        UserError: if the path is none of these, or damaged.
    """
    if path.suffix in (".yaml", ".yml"):
        return load_untrained(path)
    last = path / "checkpoints" / "last.ckpt"
    if path.is_dir() and not last.exists():
        raise UserError(f"run {path}: there is no {last}; give the directory of a run that has trained")
    if not path.exists():
        raise UserError(f"run {path}: not found; give a run's directory, a checkpoint or a YAML file")
    return load_trained(last if path.is_dir() else path)


def _build(config: dict[str, Any], label: str, iteration: int) -> LoadedPolicy:
    config = portable(config)
    learner, data = instantiate(config)
    learner.build(data.env, data.seed)
    return LoadedPolicy(learner, data, resolve(config), label, iteration)
