"""One run directory as its files describe it: the training, the evaluation, or why it is unusable."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.errors import UserError, one_line
from meta_rl.run.directory import ADAPTATION, CONFIG, EVALUATED, METRICS, RECORD, saved_configs
from meta_rl.run.messages import class_defaults
from meta_rl.run.plain import family_arguments, flatten
from meta_rl.run.record import read_starts

METRICS_COLUMNS = ["step", "return_pre", "return_post", "env_steps", "time_sampling", "time_update"]
# The names of classes in figures and tables, where they differ.
DISPLAY_NAMES = {"Pretrained": "pretrained", "Oracle": "oracle", "Random": "random", "ESMAML": "ES-MAML"}
ITERATIONS = "iterations"  # the length of the training, which counts as a setting
OUR_ALGORITHMS = "meta_rl.algorithms."  # nobody else's code is loaded


class Unusable(Exception):
    """A file or directory cannot be used; the message is the reason, in one line."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn errors from reading and parsing the file `name` into Unusable."""
    try:
        yield
    except UserError:
        raise Unusable(f"damaged: {name}") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError) as error:
        # LookupError and AttributeError: the file is well formed, but not what it should be.
        detail = one_line(f"{type(error).__name__}: {error}")
        raise Unusable(f"damaged: {name} ({detail[:120]})") from None


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What evaluate.py left in a directory: the returns of one policy on unseen tasks.

    Attributes:
        path: The directory.
        returns: Mean returns over episodes [tasks, gradient steps + 1].
        tasks: The parameters of the tasks, a row for each task.
        episodes: Number of episodes for each task and gradient step.
        facts: The content of evaluation.json; empty if there is none.
    """

    path: Path
    returns: np.ndarray
    tasks: pd.DataFrame
    episodes: int
    facts: dict[str, Any]

    @property
    def steps(self) -> int:
        """The number of gradient steps taken."""
        return self.returns.shape[1] - 1

    def after(self, step: int) -> np.ndarray:
        """Returns [tasks] after `step` gradient steps, or after the last of a policy that takes fewer."""
        return self.returns[:, min(step, self.steps)]


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run directory holds: a training with or without an evaluation, or an evaluation alone.

    Attributes:
        path: The directory.
        method: Name of the method in figures and tables.
        seed: Seed of the training.
        settings: By dotted name, the arguments of algorithm and data, without those of the task family; and
            the number of meta-iterations done, under the name "iterations".
        family: By dotted name, the task family and its arguments, without those that belong to the machine.
        env: The task family as in the configuration: class_path and init_args.
        metrics: The table of metrics.csv as `timed` returns it; None if only an evaluation is there.
        evaluation: The evaluation; None if there is none.
        starts: The entries of run.json, oldest first; empty if there is no such file.
        config: The newest configuration as YAML.
    """

    path: Path
    method: str
    seed: int
    settings: dict[str, Any]
    family: dict[str, Any]
    env: dict[str, Any]
    metrics: pd.DataFrame | None
    evaluation: EvaluationResult | None
    starts: tuple[dict[str, Any], ...]
    config: str


def read_run(path: Path, evaluation: str, skipped: list[str]) -> RunResult:
    """The run in a directory, with its evaluation if that can be used; if not, `skipped` says why.

    Args:
        path: The directory of a training, or of an evaluation alone, such as that of an untrained policy.
        evaluation: Name of the folder in it that holds the evaluation.
        skipped: Gets the line on an evaluation that is left out.

    Raises:
        Unusable: if a file is missing or damaged, or the training is not complete.
    """
    if not path.is_dir():
        raise Unusable("not a directory" if path.exists() else "not found")
    trained, folder = [(path / name).exists() for name in (CONFIG, METRICS)], path / evaluation
    if not any(trained):
        alone = path if (path / ADAPTATION).exists() else folder
        if not (alone / ADAPTATION).exists():
            raise Unusable(f"no run: neither {CONFIG}, {METRICS} nor {ADAPTATION} is there")
        return _evaluated(path, read_evaluation(alone))
    if not all(trained):
        raise Unusable(f"missing: no {(CONFIG, METRICS)[trained.index(False)]}")
    run = _trained(path)
    try:
        return replace(run, evaluation=read_evaluation(folder)) if (folder / ADAPTATION).exists() else run
    except Unusable as error:
        skipped.append(f"skipped {folder}: {error}")
        return run


def _trained(path: Path) -> RunResult:
    metrics = _read_metrics(path / METRICS)
    done = int(metrics["step"].iloc[-1])
    newest = saved_configs(path)[-1]
    with reading(newest.name):
        text = newest.read_text("utf-8")
        config = yaml.safe_load(text)
        described = _described(config, done)
        wanted = int(config["trainer"]["max_steps"])
    with reading(RECORD):
        starts = tuple(read_starts(path / RECORD))
    if done < wanted and not (starts and starts[-1].get("outcome") == "done"):
        raise Unusable(f"partial: {done} of {wanted} iterations")
    return RunResult(path, **described, metrics=metrics, evaluation=None, starts=starts, config=text)


def _evaluated(path: Path, evaluation: EvaluationResult) -> RunResult:
    facts = evaluation.facts
    if not facts:
        raise Unusable(f"missing: no {EVALUATED}, which names the method; evaluate again")
    with reading(EVALUATED):
        described = _described(facts["config"], int(facts["iteration"] or 0))
        text = yaml.safe_dump(facts["config"], sort_keys=False)
    return RunResult(path, **described, metrics=None, evaluation=evaluation, starts=(), config=text)


def read_evaluation(path: Path) -> EvaluationResult:
    """The evaluation in the directory `path`.

    Raises:
        Unusable: if a file is missing or damaged.
    """
    with reading(ADAPTATION):
        table = pd.read_csv(path / ADAPTATION, dtype=float)
        returns = table.pivot(index="task", columns="gradient_step", values="return_mean")
        if not np.isfinite(returns.to_numpy()).all() or list(returns) != list(range(returns.shape[1])):
            raise Unusable(f"damaged: {ADAPTATION} lacks tasks or gradient steps")
        first = table.query("gradient_step == 0").set_index("task").sort_index()
        tasks, episodes = first.loc[:, :"gradient_step"].iloc[:, :-1], int(first["episodes"].iloc[0])
    facts: dict[str, Any] = {}
    if (path / EVALUATED).exists():
        with reading(EVALUATED):
            facts = dict(json.loads((path / EVALUATED).read_text("utf-8")))
    return EvaluationResult(path, returns.to_numpy(float), tasks, episodes, facts)


def timed(metrics: pd.DataFrame) -> pd.DataFrame:
    """metrics.csv with the columns seconds, of an iteration; minutes and million_steps, from the start on."""
    seconds = metrics["time_sampling"] + metrics["time_update"]
    return metrics.assign(
        seconds=seconds, minutes=seconds.cumsum() / 60, million_steps=metrics["env_steps"] / 1e6
    )


@cache
def default_settings(class_path: str) -> dict[str, Any]:
    """By dotted name, the defaults of a method's arguments, inherited ones too; {} if it is not our own.

    A run lacks the settings that came after it was made. With their defaults it is compared to newer ones.
    """
    from meta_rl import algorithms  # loads torch

    cls = getattr(algorithms, class_path.removeprefix(OUR_ALGORITHMS), None)
    return flatten(class_defaults(cls), "model") if cls else {}


def _described(config: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    """What a configuration says of a run: fields of `RunResult`, by name."""
    model, env = config["model"], config["data"]["env"]
    name, family = (str(part["class_path"]).rpartition(".")[2] for part in (model, env))
    data = {key: value for key, value in config["data"].items() if key != "env"}
    settings = {
        **default_settings(str(model["class_path"])),
        **flatten(model.get("init_args") or {}, "model"),
        **flatten(data, "data"),
        ITERATIONS: iterations,
    }
    return {
        "method": DISPLAY_NAMES.get(name, name),
        "seed": int(config["seed_everything"]),
        "settings": settings,
        "family": {"data.env": family, **family_arguments(env)},
        "env": env,
    }


def _read_metrics(path: Path) -> pd.DataFrame:
    with reading(path.name):
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left part of a line
        table = pd.read_csv(io.StringIO(whole), dtype=float)
        if not len(table):
            raise Unusable("partial: no iteration")
        numbers = table[METRICS_COLUMNS].to_numpy(float)
        if not np.isfinite(numbers).all() or (np.diff(numbers[:, 0]) <= 0).any():
            raise Unusable(f"damaged: {METRICS} lacks numbers, or its steps are out of order")
    return timed(table)
