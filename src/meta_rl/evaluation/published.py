"""Figures that others have published, to compare with."""

from importlib.resources import files

import pandas as pd
from torch import Tensor

from meta_rl.envs import BatchedEnv
from meta_rl.evaluation.scores import ScoreRange


def published_returns(task: str) -> pd.DataFrame:
    """Published returns on a task family: columns method, gradient_steps, mean_return, standard_error, tasks.

    The header of evaluation/published_returns.csv says where they come from and lists the families.
    """
    with files("meta_rl").joinpath("evaluation/published_returns.csv").open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, comment="#")
    return table.query("task == @task").drop(columns="task").reset_index(drop=True)


def published_for(env: BatchedEnv, tasks: Tensor) -> pd.DataFrame | None:
    """Returns published for these tasks [N, P] of an environment; None where nothing is comparable."""
    family = env.published(tasks)
    return None if family is None else published_returns(family)


def published_scores_for(env: BatchedEnv, tasks: Tensor) -> pd.DataFrame | None:
    """Normalised scores published for these tasks [N, P]; None where nothing is comparable."""
    family = env.published(tasks, scores=True)
    return None if family is None else as_scores(published_returns(family))


def as_scores(published: pd.DataFrame) -> pd.DataFrame:
    """Published returns as scores between the published random policy and the published oracle."""
    ends = ScoreRange.published(published)
    scores = ends.normalise(published["mean_return"].to_numpy(float))
    error = published["standard_error"] / (ends.oracle - ends.random)
    return published.assign(mean_return=scores, standard_error=error)
