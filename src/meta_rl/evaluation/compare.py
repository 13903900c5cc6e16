"""Several methods on the same tasks with the same seeds: comparison.csv, comparison.png and a summary."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from meta_rl.algorithms import MetaLearner, Oracle, Random
from meta_rl.errors import EpisodeError, NonFiniteError, UserError
from meta_rl.evaluation.curve import TaskChoice, tasks_to_test
from meta_rl.evaluation.evaluate import make_output
from meta_rl.evaluation.figures import plot_comparison
from meta_rl.evaluation.loaded import AdaptationSettings, LoadedPolicy, load_run
from meta_rl.evaluation.published import published_for, published_scores_for
from meta_rl.evaluation.scores import normalised_scores
from meta_rl.evaluation.statistics import summarise_adaptation
from meta_rl.run.plain import family_arguments

Policies = Mapping[str, LoadedPolicy]  # by label
Frames = Mapping[str, pd.DataFrame]  # by method: the table of adaptation.csv


class ScoreEnds(NamedTuple):
    """Returns without adaptation on each task, of the policies whose scores are 0 and 1."""

    random: np.ndarray  # [N]
    oracle: np.ndarray  # [N]


def compare(runs: Sequence[Path], output: Path, choice: TaskChoice, how: AdaptationSettings) -> int:
    """Evaluate several policies on the same tasks, each with its own rates.

    Args:
        runs: Run directories, checkpoints, or YAML files for untrained policies.
        output: Directory to write to.
        choice: The tasks.
        how: Gradient steps, episodes and seed; the same for all.

    Returns:
        0, or 1 if one of them diverged; the comparison is without it then.

    Raises:
        UserError: if the runs cannot be compared.
    """
    policies = load_policies(runs)
    env = next(iter(policies.values())).data.env  # one simulator serves all
    tasks = tasks_to_test(env, choice, how.seed)
    make_output(output)
    frames = {}
    for label, policy in policies.items():
        start = time.perf_counter()
        try:
            frames[label] = policy.adaptation_table(env, tasks, how)
        except NonFiniteError as error:
            what = "episodes failed" if isinstance(error, EpisodeError) else "diverged"
            print(f"error: {label} {what}, {error}; the comparison is without it", file=sys.stderr)
            continue
        print(f"evaluated {label} in {time.perf_counter() - start:.1f} s", flush=True)
    if not frames:
        return 1
    ends, note = ends_of_scale(policies, frames)
    table = comparison_table(frames, ends)
    table.to_csv(output / "comparison.csv", index=False)
    by_task = pd.concat(frames, names=["method", "row"]).reset_index("method")
    by_task.to_csv(output / "comparison_by_task.csv", index=False)
    figure = output / "comparison.png"
    plot_comparison(table, published_for(env, tasks), published_scores_for(env, tasks), figure)
    print(as_text(table), note, f"wrote {output / 'comparison.csv'} and {figure}", sep="\n")
    return int(len(frames) < len(policies))


def load_policies(runs: Sequence[Path]) -> dict[str, LoadedPolicy]:
    """The policies by distinct labels: where two have the same name it is followed by the path.

    Raises:
        UserError: for a run that is none or is named twice, and for different task families.
    """
    for run, count in Counter(runs).items():
        if count > 1:
            raise UserError(f"--compare names {run} {count} times; name every run once")
    policies = {run: load_run(run) for run in runs}
    check_same_tasks(policies)
    names = Counter(policy.label for policy in policies.values())
    return {p.label if names[p.label] == 1 else f"{p.label} ({run})": p for run, p in policies.items()}


def check_same_tasks(policies: Mapping[Path, LoadedPolicy]) -> None:
    """Raise a UserError unless all runs have the task family of the first, with the same arguments."""
    (first, reference), *others = policies.items()
    wanted = _family(reference)
    for run, policy in others:
        family = _family(policy)
        for key in {**wanted, **family}:
            if family.get(key) != wanted.get(key):
                raise UserError(
                    f"--compare: {key} is {wanted.get(key)} in {first} and {family.get(key)} in {run}; "
                    "compare runs of one task family"
                )


def _family(policy: LoadedPolicy) -> dict[str, Any]:
    cls = type(policy.data.env)
    return {
        "data.env.class_path": f"{cls.__module__}.{cls.__name__}",
        **family_arguments(policy.config["data"]["env"]),
    }


def ends_of_scale(policies: Policies, frames: Frames) -> tuple[ScoreEnds | None, str]:
    """What normalised scores refer to, the first random and the first trained oracle, and a line about it."""

    def first(kind: type[MetaLearner]) -> str | None:
        for label in frames:
            policy = policies[label]
            if isinstance(policy.learner, kind) and (policy.trained or not kind.trainable()):
                return label
        return None

    random, oracle = first(Random), first(Oracle)
    if random is None or oracle is None:
        needed = {"a Random": random, "a trained Oracle": oracle}
        missing = " and ".join(name for name, label in needed.items() if label is None)
        return None, f"no normalised scores; they need {missing} among the runs"
    unadapted = (frames[label].query("gradient_step == 0") for label in (random, oracle))
    ends = ScoreEnds(*(frame["return_mean"].to_numpy(float) for frame in unadapted))
    if ends.oracle.mean() > ends.random.mean():
        return ends, f"normalised: {random} without adaptation is 0, {oracle} is 1"
    return None, f"no normalised scores; {oracle} is no better than {random}"


def comparison_table(frames: Frames, ends: ScoreEnds | None) -> pd.DataFrame:
    """The table of comparison.csv: one row for each method and gradient step.

    Columns: method, gradient_step; mean, low and high of the return, with its 95 % t-interval over tasks;
    tasks, episodes; normalised, normalised_low, normalised_high: the same of the score, NaN without `ends`.
    """
    parts = []
    for label, frame in frames.items():
        frame = frame.astype({"return_mean": float})  # was float32
        returns = summarise_adaptation(frame)
        scores = pd.DataFrame(index=returns.index, columns=["mean", "half_width"], dtype=float)
        if ends is not None:
            by_task = frame.pivot(index="task", columns="gradient_step", values="return_mean")
            scores = normalised_scores(by_task, *ends)
        columns = {
            "method": label,
            "gradient_step": returns.index,
            "mean": returns["mean"],
            "low": returns["mean"] - returns["half_width"],
            "high": returns["mean"] + returns["half_width"],
            "tasks": returns["n"],
            "episodes": frame["episodes"].iloc[0],
            "normalised": scores["mean"],
            "normalised_low": scores["mean"] - scores["half_width"],
            "normalised_high": scores["mean"] + scores["half_width"],
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def as_text(table: pd.DataFrame) -> str:
    """comparison.csv as text, with half widths; `-` where there is no number."""
    rows = [["method", "step", "mean return", "± 95 %", "normalised", "± 95 %"]]
    for row in table.to_dict("records"):
        numbers = [row["mean"], row["high"] - row["mean"]]
        scores = [row["normalised"], row["normalised_high"] - row["normalised"]]
        cells = [f"{x:.2f}" for x in numbers] + [f"{x:.3f}" for x in scores]
        rows.append([row["method"], str(row["gradient_step"]), *(c.replace("nan", "-") for c in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
