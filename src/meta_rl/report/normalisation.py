"""Normalised scores: 0 is the random policy and 1 the oracle, those of the runs or published ones."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from meta_rl.errors import one_line
from meta_rl.report.groups import Group
from meta_rl.report.runs import ENDS, RunResult

STEP = 1  # gradient steps after which methods are judged
OURS = "meta_rl.envs."  # nothing is published on anyone else's families, and their code is not run


@dataclass(frozen=True)
class ScoreRange:
    """The mean returns without adaptation that count as scores 0 and 1.

    Attributes:
        random: Return of the random policy, score 0.
        oracle: Return of the oracle, score 1; higher than `random`.
        source: Where the two come from, for sentences: "of these runs" or "published".
    """

    random: float
    oracle: float
    source: str

    def normalise(self, returns: np.ndarray) -> np.ndarray:
        """(return - random's) / (oracle's - random's), for returns of any shape."""
        return (returns - self.random) / (self.oracle - self.random)


@dataclass(frozen=True, eq=False)
class Published:
    """Published results on the tasks of the runs.

    Attributes:
        returns: Columns method, gradient_steps, mean_return, standard_error, tasks; None where nothing is
            comparable.
        scores: The same table with normalised scores in place of returns; None where nothing is comparable.
        problem: A sentence on why it could not be found out whether something is comparable; "" otherwise.
    """

    returns: pd.DataFrame | None = None
    scores: pd.DataFrame | None = None
    problem: str = ""

    def unadapted(self, method: str) -> float | None:
        """The published mean return of a method before its first gradient step; None if there is none."""
        if self.returns is None:
            return None
        row = self.returns.query("method == @method and gradient_steps == 0")
        return float(row["mean_return"].iloc[0]) if len(row) else None


def find_score_range(groups: Mapping[str, Group], published: Published) -> tuple[ScoreRange | None, str]:
    """What normalised scores refer to, and a sentence about it.

    Args:
        groups: By method, the runs.
        published: Published results on the same tasks; used unless the runs have both random and oracle.

    Returns:
        None and the reason if random or oracle is missing, or if the oracle is no better than random.
    """
    ends = [groups[method] for method in ENDS if method in groups and groups[method].evaluations]
    if len(ends) == 2:
        random, oracle = (float(returns_after(group, 0).mean()) for group in ends)
        source = "of these runs"
    else:
        random, oracle = (published.unadapted(method) for method in ENDS)
        source = "published"
    if random is None or oracle is None:
        present = {group.method for group in ends}
        missing = " and ".join(f"an evaluated {method}" for method in ENDS if method not in present)
        return None, f"No normalised scores, hence no margin: {missing} is missing among the runs."
    if not oracle > random:
        return None, "No normalised scores, hence no margin: the oracle is no better than random."
    return ScoreRange(random, oracle, source), (
        f"Normalised scores: 0 is the mean return of the random policy without adaptation "
        f"({random:.4g}), 1 that of the oracle ({oracle:.4g}), {source}."
    )


def returns_after(group: Group, step: int) -> np.ndarray:
    """Returns [seeds, tasks] after `step` gradient steps, or after the last of a policy that takes fewer."""
    return np.stack([evaluation.after(step) for evaluation in group.evaluations])


def score_samples(
    groups: Mapping[str, Group], score_range: ScoreRange | None, step: int = STEP
) -> dict[str, np.ndarray]:
    """By method, the scores [seeds, tasks] after `step` gradient steps; returns if `score_range` is None."""
    found = {method: returns_after(group, step) for method, group in groups.items() if group.evaluations}
    if score_range is None:
        return found
    return {method: score_range.normalise(sample) for method, sample in found.items()}


def find_published(run: RunResult) -> Published:
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
    except Exception as error:  # an unknown argument, a model file that has moved: anything may go wrong
        return Published(problem=f"published results left out, the task family fails: {one_line(error)}")
    return Published(published_for(env, tasks), published_scores_for(env, tasks))


def _build(env: dict[str, Any]) -> Any:
    module, _, name = env["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**(env.get("init_args") or {}))
