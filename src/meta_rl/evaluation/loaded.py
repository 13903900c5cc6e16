"""Policies to evaluate: of a checkpoint, or freshly initialised from a configuration."""

import logging
import re
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
from meta_rl.inner import InnerLoop
from meta_rl.run.arguments import is_config
from meta_rl.run.checkpoint import load_checkpoint
from meta_rl.run.config import instantiate, read_config, resolve
from meta_rl.run.directory import CHECKPOINTS, LAST
from meta_rl.run.plain import portable

DEFAULT_GRADIENT_STEPS = 3
KEYS = {"name", "seed_everything", "model", "data"}  # what train.py keeps
CLASSES = re.compile(r"model|data\.env(\.init_args\.env)*")  # where it names one: also in wrapped families
logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # no word on its own seed, unused here


class AdaptationSettings(NamedTuple):
    """How a policy adapts to tasks that it has not seen."""

    gradient_steps: int | None = None  # None for 3, or for none where a policy never adapts
    episodes: int = 40  # per task and gradient step
    seed: int = 0  # decides the episodes' noise
    inner_lr: Sequence[float] | None = None  # a rate a step, the last for all later ones; None: as trained


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
        """The inner loop of training, at `rates` or at its own."""
        return self.learner.inner.at_test(rates)

    def adaptation_table(self, env: BatchedEnv, tasks: Tensor, how: AdaptationSettings) -> pd.DataFrame:
        """Adapt to tasks [N, P] of `env`; the table of adaptation.csv. May raise a NonFiniteError."""
        view, inner, steps = (
            self.learner.environment(env),
            self.test_time(how.inner_lr),
            self.gradient_steps(how.gradient_steps),
        )
        estimator, on_failure = self.data.estimator, self.data.on_failure
        returns = adaptation_curve(
            self.learner.policy, inner, view, tasks, steps, how.episodes, estimator, how.seed, on_failure
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
    if is_config(path):
        return load_untrained(path)
    last = path / CHECKPOINTS / LAST
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


def check_embedded(config: dict[str, Any]) -> None:
    """Check that building learner and task family of a checkpoint's own `config` builds just these.

    The parser makes sure that the classes are learners and task families. What it would let pass is refused
    here: an argument that takes any function would also take an object of any class, and a reference such as
    ${oc.env:KEY} would read the environment.

    Raises:
        UserError: if train.py does not write such a configuration.
    """
    unknown = sorted(map(repr, set(config) - KEYS))
    if unknown:
        raise UserError(
            f"its config holds {unknown[0]:.60}, which train.py does not write; give another file"
        )
    try:
        for key in ("model", "data"):
            _check(key, config[key], ours=True)
        _check("name", config["name"], ours=True)
    except RecursionError:
        raise UserError("its config is nested without end; give another file") from None


def _check(place: str, value: Any, ours: bool) -> None:
    """Walk through a value at `place`; `ours` if it belongs to a class of this package."""
    if isinstance(value, str) and "${" in value:
        raise UserError(f"{place} in its config is a reference, which train.py resolves; give another file")
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(f"{place}[{i}]", item, ours)
    if not isinstance(value, dict):
        return
    if "class_path" in value:
        if ours and not CLASSES.fullmatch(place):
            raise UserError(f"{place} in its config names a class where none belongs; give another file")
        ours = str(value["class_path"]).startswith("meta_rl.")  # those of others have arguments of their own
    for key, item in value.items():
        _check(f"{place}.{key}", item, ours)
