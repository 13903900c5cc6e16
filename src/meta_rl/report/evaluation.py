"""What evaluate.py has left in a directory: adaptation.csv, evaluation.json and videos."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.report.unusable import Unusable, reading

REQUIRED = ["task", "gradient_step", "return_mean", "episodes"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Returns of one policy on unseen tasks.

    Attributes:
        path: The directory.
        returns: [tasks, gradient steps + 1], means over episodes.
        tasks: By task, its parameters.
        episodes: Per task and gradient step.
        facts: Of evaluation.json; empty if there is none.
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
        """Gradient steps taken."""
        return self.returns.shape[1] - 1

    @property
    def videos(self) -> tuple[Path, ...]:
        return tuple(sorted((self.path / "video").glob("*.mp4")))


def read_evaluation(path: Path) -> Evaluation:
    """The evaluation in the directory `path`. Raises Unusable."""
    with reading("adaptation.csv"):
        table = pd.read_csv(path / "adaptation.csv", dtype=float)
        for column in REQUIRED:
            if column not in table.columns:
                raise Unusable(f"damaged: adaptation.csv has no column {column}")
        returns = table.pivot(index="task", columns="gradient_step", values="return_mean")
        if not np.isfinite(returns.to_numpy()).all() or list(returns) != list(range(returns.shape[1])):
            raise Unusable("damaged: adaptation.csv lacks tasks or gradient steps")
        columns = list(table.columns)
        parameters = columns[columns.index("task") + 1 : columns.index("gradient_step")]
        tasks = table.query("gradient_step == 0").set_index("task").sort_index()
        episodes = int(table["episodes"].to_list()[0])
    facts: dict[str, Any] = {}
    if (path / "evaluation.json").exists():
        with reading("evaluation.json"):
            facts = dict(json.loads((path / "evaluation.json").read_text()))
    return Evaluation(path, returns.to_numpy(float), tasks.loc[:, parameters], episodes, facts)
