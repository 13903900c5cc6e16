"""One run directory as its files describe it."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.report.evaluation import Evaluation
from meta_rl.report.settings import family_of, method_name, settings_of
from meta_rl.report.unusable import Unusable, reading
from meta_rl.run.record import read_starts

REQUIRED = ["step", "return_pre", "return_post", "env_steps", "time_sampling", "time_update"]
TRAINABLE_BY_NATURE = {"random"}  # methods that are complete without a training


@dataclass(frozen=True, eq=False)
class Run:
    """A trained run, or an evaluated policy.

    Attributes:
        path: Its directory.
        method: As figures call it.
        seed: Of the training.
        iterations: Taken in all.
        settings: What may be varied, by dotted name.
        family: Task family and its arguments, by dotted name.
        env: The same as the configuration has it.
        metrics: One row an iteration; None if only an evaluation is there.
        evaluation: None if there is none.
        starts: Entries of run.json, oldest first; empty if not recorded.
        config: YAML.
    """

    path: Path
    method: str
    seed: int
    iterations: int
    settings: dict[str, Any]
    family: dict[str, Any]
    env: dict[str, Any]
    metrics: pd.DataFrame | None
    evaluation: Evaluation | None
    starts: tuple[dict[str, Any], ...]
    config: str


def read_trained(path: Path) -> Run:
    """The run of a directory that train.py wrote, without its evaluation. Raises Unusable."""
    for name in ("config.yaml", "metrics.csv"):
        if not (path / name).exists():
            raise Unusable(f"missing: no {name}")
    newest = max(path.glob("config*.yaml"), key=_number)
    with reading(newest.name):
        text = newest.read_text()
        config = yaml.safe_load(text)
        described = _described(config)
        wanted = int(config["trainer"]["max_steps"])
    metrics = _read_metrics(path / "metrics.csv")
    with reading("run.json"):
        starts = tuple(read_starts(path / "run.json"))
    done = int(metrics["step"].iloc[-1])
    if done < wanted and not (starts and starts[-1].get("outcome") == "done"):
        raise Unusable(f"partial: {done} of {wanted} iterations")
    return Run(
        path, **described, iterations=done, metrics=metrics, evaluation=None, starts=starts, config=text
    )


def read_evaluated(path: Path, evaluation: Evaluation) -> Run:
    """The run of a directory that only evaluate.py wrote, such as that of an untrained policy."""
    with reading("evaluation.json"):
        facts = evaluation.facts
        if not facts:
            raise Unusable("missing: no evaluation.json, which names the method; evaluate again")
        described = _described(facts["config"])
        if not facts["trained"] and described["method"] not in TRAINABLE_BY_NATURE:
            described["method"] += ", untrained"
        text = yaml.safe_dump(facts["config"], sort_keys=False)
        iterations = int(facts["iteration"] or 0)
    return Run(
        path, **described, iterations=iterations, metrics=None, evaluation=evaluation, starts=(), config=text
    )


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
        text = path.read_text()
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left part of a line
        table = pd.read_csv(io.StringIO(whole), dtype=float)
        for column in REQUIRED:
            if column not in table.columns:
                raise Unusable(f"damaged: metrics.csv has no column {column}")
        if not len(table):
            raise Unusable("partial: no iteration")
        numbers = table[REQUIRED].to_numpy(float)
        if not np.isfinite(numbers).all() or (np.diff(numbers[:, 0]) <= 0).any():
            raise Unusable("damaged: metrics.csv lacks numbers, or its steps are out of order")
    return table
