"""Run directories by hand: as train.py and evaluate.py leave them, with numbers that are easy to check."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from meta_rl.report.choose import collect
from meta_rl.report.groups import Group, group_runs

GOALS = {"goal_x": [0.3, 0.0, -0.5], "goal_y": [0.4, 0.1, 0.0], "start_x": [0.0] * 3, "start_y": [0.0] * 3}


def config(method: str = "MAML", seed: int = 1, max_steps: int = 4, **changes: Any) -> dict[str, Any]:
    """A resolved configuration; `changes` are arguments of the learner, of the data or of the tasks."""
    tasks = {key: changes.pop(key) for key in ("horizon", "num_threads") if key in changes}
    data = {key: changes.pop(key) for key in ("fast_batch_size", "meta_batch_size") if key in changes}
    env = {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5, **tasks}}
    return {
        "name": f"{method.lower()}-{seed}",
        "runs_dir": "runs",
        "seed_everything": seed,
        "model": {"class_path": f"meta_rl.algorithms.{method}", "init_args": {"inner_lr": 0.1, **changes}},
        "data": {"env": env, "meta_batch_size": 20, "fast_batch_size": 20, **data},
        "trainer": {"max_steps": max_steps},
    }


def metrics(steps: int = 4, level: float = 0.0, seconds: float = 1.0, **columns: Any) -> pd.DataFrame:
    """Returns that rise by 1 an iteration, 1000 environment steps and `seconds` an iteration."""
    step = pd.Series(range(1, steps + 1))
    table = {
        "step": step,
        "return_pre": level + step - 10.0,
        "return_post": level + step,
        "env_steps": 1000 * step,
        "time_sampling": seconds / 4,
        "time_update": 3 * seconds / 4,
    }
    return pd.DataFrame({**table, **columns})


def adaptation(returns: Sequence[Sequence[float]], episodes: int = 40) -> pd.DataFrame:
    """adaptation.csv of returns [tasks, steps + 1] on the first of GOALS."""
    rows = [
        {"task": i, **{name: values[i] for name, values in GOALS.items()}, "gradient_step": step}
        | {"return_mean": value, "return_std": 0.5, "episodes": episodes}
        for i, task in enumerate(returns)
        for step, value in enumerate(task)
    ]
    return pd.DataFrame(rows)


def write_run(path: Path, settings: dict[str, Any], table: pd.DataFrame | None = None) -> Path:
    """The directory of a training."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    (metrics() if table is None else table).to_csv(path / "metrics.csv", index=False)
    return path


def write_evaluation(path: Path, returns: Sequence[Sequence[float]], facts: Any = None, **more: Any) -> Path:
    """The directory of an evaluation; evaluation.json only if there are facts."""
    path.mkdir(parents=True, exist_ok=True)
    adaptation(returns, **more).to_csv(path / "adaptation.csv", index=False)
    if facts is not None:
        (path / "evaluation.json").write_text(json.dumps(facts))
    return path


def untrained(method: str = "Random") -> dict[str, Any]:
    """evaluation.json of a policy without a training."""
    settings = {key: value for key, value in config(method).items() if key not in ("trainer", "runs_dir")}
    return {"label": method, "trained": False, "config": settings, "iteration": 0, "inner_lr": [0.1]}


def write_study(root: Path, methods: Sequence[str] = ("MAML", "FOMAML"), seeds: int = 2) -> Path:
    """Runs METHOD-SEED with evaluations, whose returns after a step are 10 (20) less a tenth of the seed."""
    for i, method in enumerate(methods):
        for seed in range(1, seeds + 1):
            table = metrics(level=seed, seconds=1 + i)
            run = write_run(root / f"{method}-{seed}", config(method, seed), table)
            after = 10.0 * (i + 1) - seed / 10
            write_evaluation(run / "evaluation", [[0.0, after], [1.0, after + 1], [2.0, after + 2]])
    return root


def by_method(root: Path) -> dict[str, Group]:
    """By method, the last group in a directory of runs."""
    return {group.method: group for group in group_runs(collect([root], "evaluation")[0])}
