"""Normalised scores: 0 is the random policy and 1 the oracle, those of the runs or published ones."""

import importlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from meta_rl.errors import one_line
from meta_rl.evaluation.scores import ENDS, ScoreRange
from meta_rl.report.groups import Group
from meta_rl.report.runs import RunResult

STEP = 1  # gradient steps after which methods are judged
OUR_FAMILIES = "meta_rl.envs."  # nothing is published on anyone else's families, and their code is not run


class Published(NamedTuple):
    """Published results on the tasks of the runs; None where nothing is comparable."""

    returns: pd.DataFrame | None = None  # columns method, gradient_steps, mean_return, standard_error, tasks
    scores: pd.DataFrame | None = None  # the same with normalised scores in place of returns
    problem: str = ""  # a sentence on why it could not be found out whether something is comparable


def find_score_range(groups: Mapping[str, Group], published: Published) -> tuple[ScoreRange | None, str]:
    """What normalised scores refer to, and a sentence about it.

    Args:
        groups: By method, the runs.
        published: Published results on the same tasks; used unless the runs have both random and oracle.

    Returns:
        None and the reason if random or oracle is missing, or if the oracle is no better than random.
    """
    ends = {method: groups[method] for method in ENDS if method in groups and groups[method].evaluations}
    missing = " and ".join(f"an evaluated {method}" for method in ENDS if method not in ends)
    if not missing:
        found = ScoreRange(*(float(ends[method].returns_after(0).mean()) for method in ENDS))
        source = "of these runs"
    elif published.returns is not None:
        found, source = ScoreRange.published(published.returns), "published"
    else:
        return None, f"No normalised scores, hence no verdicts: {missing} is missing among the runs."
    if not found.oracle > found.random:
        return None, "No normalised scores, hence no verdicts: the oracle is no better than random."
    return found, (
        f"Normalised scores: 0 is the mean return of the random policy without adaptation "
        f"({found.random:.4g}), 1 that of the oracle ({found.oracle:.4g}), {source}."
    )


def score_samples(groups: Mapping[str, Group], score_range: ScoreRange) -> dict[str, np.ndarray]:
    """By method, the scores [seeds, tasks] after one gradient step."""
    return {
        method: score_range.normalise(group.returns_after(STEP))
        for method, group in groups.items()
        if group.evaluations
    }


def find_published(runs: Sequence[RunResult]) -> Published:
    """What is published on the tasks that the runs were evaluated on.

    Whether it is comparable depends on the simulated robot, so the task family is built.
    """
    run = next((run for run in runs if run.evaluation is not None), None)
    if run is None or run.evaluation is None or not run.env["class_path"].startswith(OUR_FAMILIES):
        return Published()
    import torch  # here: a report without evaluations needs neither torch nor MuJoCo

    from meta_rl.evaluation.published import published_for, published_scores_for

    tasks = torch.tensor(run.evaluation.tasks.to_numpy(float), dtype=torch.float32)
    module, _, name = run.env["class_path"].rpartition(".")
    try:
        env = getattr(importlib.import_module(module), name)(**(run.env.get("init_args") or {}))
    except Exception as error:  # an unknown argument, a model file that has moved: anything may go wrong
        return Published(problem=f"published results left out, the task family fails: {one_line(error)}")
    return Published(published_for(env, tasks), published_scores_for(env, tasks))
