"""Published results on the task family of the runs, where they are comparable."""

import importlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from meta_rl.errors import one_line
from meta_rl.report.run import Run

OURS = "meta_rl.envs."  # nothing is published on anyone else's families, and their code is not run


@dataclass(frozen=True, eq=False)
class Published:
    """Tables with the columns method, gradient_steps, mean_return, standard_error, tasks.

    Attributes:
        returns: None where nothing is comparable.
        scores: The same normalised: 0 is random's return without adaptation, 1 the oracle's.
        problem: Why it is not known whether something is comparable, if so.
    """

    returns: pd.DataFrame | None = None
    scores: pd.DataFrame | None = None
    problem: str = ""

    def unadapted(self, method: str) -> float | None:
        """Published mean return of a method before its first gradient step."""
        if self.returns is None:
            return None
        row = self.returns.query("method == @method and gradient_steps == 0")
        return float(row["mean_return"].iloc[0]) if len(row) else None


def find_published(run: Run) -> Published:
    """What is published on the tasks that `run` was evaluated on.

    Whether it is comparable depends on the simulated robot, so the task family is built.
    """
    if run.evaluation is None or not run.env["class_path"].startswith(OURS):
        return Published()
    import torch  # here: a report without evaluations needs neither torch nor MuJoCo

    from meta_rl.evaluation.published import published_for, published_scores_for

    tasks = torch.tensor(run.evaluation.tasks.to_numpy(float), dtype=torch.float32)
    try:
        env = _build(run.env)
    except (
        Exception
    ) as error:  # an argument that this version does not know, a model file that has moved, ...
        return Published(problem=f"published results left out, the task family fails: {one_line(error)}")
    return Published(published_for(env, tasks), published_scores_for(env, tasks))


def _build(env: dict[str, Any]) -> Any:
    module, _, name = env["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**(env.get("init_args") or {}))
