"""Several methods on the same tasks with the same seeds: comparison.csv, comparison.png and a summary."""

import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meta_rl.algorithms import MetaLearner, Oracle, Random
from meta_rl.charts.plotting import plot_comparison
from meta_rl.errors import EpisodeError, NonFiniteError, UserError
from meta_rl.evaluation.comparison_table import Frames, Scale, as_text, comparison_table
from meta_rl.evaluation.curve import tasks_to_test
from meta_rl.evaluation.loaded import LoadedPolicy, load_run
from meta_rl.evaluation.published import published_for, published_scores_for
from meta_rl.run.directory import make_output
from meta_rl.run.plain import family_arguments

Policies = Mapping[str, LoadedPolicy]  # by label


def compare(args: Namespace) -> int:
    """Evaluate all runs, each with its own rates; return 1 if one of them diverged, else 0.

    Raises:
        UserError: if the runs cannot be compared.
    """
    if args.inner_lr:
        raise UserError("--inner_lr: --compare uses the rates of each run; evaluate one alone to change them")
    policies = load_policies(args.compare)
    env = next(iter(policies.values())).data.env  # one simulator serves all
    tasks = tasks_to_test(env, args.tasks, args.num_tasks, args.seed)
    output = make_output(args.output or Path("evaluation/comparison"))
    frames = {}
    for label, policy in policies.items():
        start, steps = time.perf_counter(), policy.gradient_steps(args.gradient_steps)
        try:
            frames[label] = policy.adapt(env, tasks, steps, args.episodes, args.seed)
        except NonFiniteError as error:
            what = "episodes failed" if isinstance(error, EpisodeError) else "diverged"
            print(f"error: {label} {what}, {error}; the comparison is without it", file=sys.stderr)
            continue
        print(f"evaluated {label} in {time.perf_counter() - start:.1f} s", flush=True)
    if not frames:
        return 1
    scale, note = find_scale(policies, frames)
    table = comparison_table(frames, scale)
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


def find_scale(policies: Policies, frames: Frames) -> tuple[Scale | None, str]:
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
    scale = Scale(*(frame["return_mean"].to_numpy(float) for frame in unadapted))
    if scale.oracle.mean() > scale.random.mean():
        return scale, f"normalised: {random} without adaptation is 0, {oracle} is 1"
    return None, f"no normalised scores; {oracle} is no better than {random}"
