"""One run directory as its files describe it: the training, the evaluation, or why it is unusable."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.errors import UserError, one_line
from meta_rl.run.messages import class_defaults
from meta_rl.run.plain import family_arguments, flatten
from meta_rl.run.record import read_starts

CONFIG, METRICS, RECORD = "config.yaml", "metrics.csv", "run.json"
ADAPTATION, FACTS, VIDEOS = "adaptation.csv", "evaluation.json", "video"
METRICS_COLUMNS = ["step", "return_pre", "return_post", "env_steps", "time_sampling", "time_update"]
ADAPTATION_COLUMNS = ["task", "gradient_step", "return_mean", "episodes"]
# The names of classes in figures and tables, where they differ.
DISPLAY_NAMES = {"Pretrained": "pretrained", "Oracle": "oracle", "Random": "random", "ESMAML": "ES-MAML"}
REFERENCE = "MAML"  # the method that others are compared with
ENDS = ("random", "oracle")  # define scores 0 and 1, and have no verdict themselves
NEVER_TRAINED = {"random"}  # methods that are complete without a training


class Unusable(Exception):
    """A file or directory cannot be used; the message is the reason, in one line."""


class Skipped(list[str]):
    """A line for everything that is left out of the report."""

    def add(self, path: Path, why: object) -> None:
        """Note why `path` is left out."""
        self.append(f"skipped {path}: {why}")


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
        raise Unusable(f"damaged: {name} ({detail[:80]})") from None


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

    def after(self, step: int) -> np.ndarray:
        """Returns [tasks] after `step` gradient steps, or after the last of a policy that takes fewer."""
        return self.returns[:, min(step, self.returns.shape[1] - 1)]

    @property
    def steps(self) -> int:
        """The number of gradient steps taken."""
        return self.returns.shape[1] - 1

    @property
    def videos(self) -> tuple[Path, ...]:
        """The videos of the adapted policy."""
        return tuple(sorted((self.path / VIDEOS).glob("*.mp4")))


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run directory holds: a training with or without an evaluation, or an evaluation alone.

    Attributes:
        path: The directory.
        method: Name of the method in figures and tables.
        seed: Seed of the training.
        iterations: Number of meta-iterations done.
        settings: By dotted name, the arguments of algorithm and data, without those of the task family.
        family: By dotted name, the task family and its arguments, without those that belong to the machine.
        env: The task family as in the configuration: class_path and init_args.
        metrics: The table of metrics.csv, a row for each iteration; None if only an evaluation is there.
        evaluation: The evaluation; None if there is none.
        starts: The entries of run.json, oldest first; empty if there is no such file.
        config: The newest configuration as YAML.
    """

    path: Path
    method: str
    seed: int
    iterations: int
    settings: dict[str, Any]
    family: dict[str, Any]
    env: dict[str, Any]
    metrics: pd.DataFrame | None
    evaluation: EvaluationResult | None
    starts: tuple[dict[str, Any], ...]
    config: str


def read_trained(path: Path) -> RunResult:
    """The run of a directory that train.py wrote, without its evaluation.

    Raises:
        Unusable: if a file is missing or damaged, or the training is not complete.
    """
    for name in (CONFIG, METRICS):
        if not (path / name).exists():
            raise Unusable(f"missing: no {name}")
    newest = max(path.glob("config*.yaml"), key=_number)
    with reading(newest.name):
        text = newest.read_text("utf-8")
        config = yaml.safe_load(text)
        described = _described(config)
        wanted = int(config["trainer"]["max_steps"])
    metrics = _read_metrics(path / METRICS)
    with reading(RECORD):
        starts = tuple(read_starts(path / RECORD))
    done = int(metrics["step"].iloc[-1])
    if done < wanted and not (starts and starts[-1].get("outcome") == "done"):
        raise Unusable(f"partial: {done} of {wanted} iterations")
    return RunResult(
        path, **described, iterations=done, metrics=metrics, evaluation=None, starts=starts, config=text
    )


def read_evaluated(path: Path, evaluation: EvaluationResult) -> RunResult:
    """The run of a directory that only evaluate.py wrote, such as that of an untrained policy.

    Raises:
        Unusable: if evaluation.json is missing or damaged.
    """
    with reading(FACTS):
        facts = evaluation.facts
        if not facts:
            raise Unusable(f"missing: no {FACTS}, which names the method; evaluate again")
        described = _described(facts["config"])
        if not facts["trained"] and described["method"] not in NEVER_TRAINED:
            described["method"] += ", untrained"
        text = yaml.safe_dump(facts["config"], sort_keys=False)
        iterations = int(facts["iteration"] or 0)
    return RunResult(
        path, **described, iterations=iterations, metrics=None, evaluation=evaluation, starts=(), config=text
    )


def read_evaluation(path: Path) -> EvaluationResult:
    """The evaluation in the directory `path`.

    Raises:
        Unusable: if a file is missing or damaged.
    """
    with reading(ADAPTATION):
        table = pd.read_csv(path / ADAPTATION, dtype=float)
        _require(table, ADAPTATION_COLUMNS, ADAPTATION)
        returns = table.pivot(index="task", columns="gradient_step", values="return_mean")
        if not np.isfinite(returns.to_numpy()).all() or list(returns) != list(range(returns.shape[1])):
            raise Unusable(f"damaged: {ADAPTATION} lacks tasks or gradient steps")
        columns = list(table.columns)
        parameters = columns[columns.index("task") + 1 : columns.index("gradient_step")]
        tasks = table.query("gradient_step == 0").set_index("task").sort_index()
        episodes = int(table["episodes"].to_list()[0])
    facts: dict[str, Any] = {}
    if (path / FACTS).exists():
        with reading(FACTS):
            facts = dict(json.loads((path / FACTS).read_text("utf-8")))
    return EvaluationResult(path, returns.to_numpy(float), tasks.loc[:, parameters], episodes, facts)


def method_name(config: Mapping[str, Any]) -> str:
    """The name of the method in figures and tables."""
    name = str(config["model"]["class_path"]).rpartition(".")[2]
    return DISPLAY_NAMES.get(name, name)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of algorithm and data by dotted name, without method, task family and seed."""
    model = flatten(config["model"].get("init_args") or {}, "model")
    data = flatten({key: value for key, value in config["data"].items() if key != "env"}, "data")
    return {**model, **data}


def family_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The task family and its arguments by dotted name, without those that belong to the machine."""
    env = config["data"]["env"]
    return {"data.env": str(env["class_path"]).rpartition(".")[2], **family_arguments(env)}


def default_settings(method: str) -> dict[str, Any]:
    """By dotted name, the defaults of a method's arguments, inherited ones too; {} for an unknown method."""
    from meta_rl import algorithms  # loads torch, which most reports do without

    originals = {name: original for original, name in DISPLAY_NAMES.items()}
    cls = getattr(algorithms, originals.get(method, method), None)
    return {f"model.{name}": value for name, value in class_defaults(cls).items()} if cls else {}


def _described(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "method": method_name(config),
        "seed": int(config["seed_everything"]),
        "settings": settings_of(config),
        "family": family_of(config),
        "env": config["data"]["env"],
    }


def _number(config: Path) -> int:
    """0 for config.yaml, N for config-N.yaml, -1 for anything else."""
    match = re.fullmatch(r"config(?:-(\d+))?\.yaml", config.name)
    return int(match[1] or 0) if match else -1


def _read_metrics(path: Path) -> pd.DataFrame:
    with reading(path.name):
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left part of a line
        table = pd.read_csv(io.StringIO(whole), dtype=float)
        _require(table, METRICS_COLUMNS, METRICS)
        if not len(table):
            raise Unusable("partial: no iteration")
        numbers = table[METRICS_COLUMNS].to_numpy(float)
        if not np.isfinite(numbers).all() or (np.diff(numbers[:, 0]) <= 0).any():
            raise Unusable(f"damaged: {METRICS} lacks numbers, or its steps are out of order")
    return table


def _require(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    for column in columns:
        if column not in table.columns:
            raise Unusable(f"damaged: {name} has no column {column}")
