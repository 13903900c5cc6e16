"""Policies on unseen tasks: adaptation.csv, evaluation.json, figure, summary, and what can be seen of it."""

import json
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from meta_rl.errors import EpisodeError, NonFiniteError, UserError
from meta_rl.evaluation.curve import TaskChoice, tasks_to_test
from meta_rl.evaluation.figures import plot_adaptation
from meta_rl.evaluation.film import robots, show_live, write_videos
from meta_rl.evaluation.loaded import (
    AdaptationSettings,
    LoadedPolicy,
    load_trained,
    load_untrained,
)
from meta_rl.evaluation.published import published_for
from meta_rl.evaluation.statistics import summarise_adaptation
from meta_rl.evaluation.wandb_run import log_evaluation
from meta_rl.run.arguments import is_config
from meta_rl.run.directory import ADAPTATION, CHECKPOINTS, EVALUATED, EVALUATION, FIGURE, VIDEO
from meta_rl.run.program import typed
from meta_rl.run.tracking import choose_mode
from meta_rl.show.video import check_ffmpeg

FEW = 4  # different tasks whose returns are printed one by one


class Showing(NamedTuple):
    """What can be seen of an evaluation besides its table and figure."""

    videos: int = 0  # of how many tasks
    live: bool = False  # the adapted policy in MuJoCo's viewer


class Evaluation(NamedTuple):
    """What the policies of one command line are evaluated on, and how."""

    tasks: TaskChoice
    how: AdaptationSettings
    showing: Showing


def evaluate_all(sources: Sequence[Path], output: Path | None, evaluation: Evaluation) -> int:
    """Evaluate every policy, and say which ones could not be.

    Args:
        sources: Checkpoints, or one YAML file for an untrained policy.
        output: Directory for the results of a single one; None for each one's own.
        evaluation: Tasks and settings.

    Returns:
        0, 1 if adaptation of one diverged, 2 if something does not fit; the others are evaluated.

    Raises:
        UserError: if several cannot be evaluated as asked.
    """
    for flag, given in (("output", output), ("view", evaluation.showing.live)):
        if len(sources) > 1 and given:
            raise UserError(f"--{flag}: goes with one checkpoint; several are written to their own runs")
    outputs = [output or default_output(source) for source in sources]
    for folder in outputs:
        if outputs.count(folder) > 1:
            raise UserError(
                f"--checkpoint: two of them belong to {folder}; evaluate them one by one with --output"
            )
    code = 0
    for source, folder in zip(sources, outputs, strict=True):
        try:
            evaluate(source, folder, evaluation)
        except EpisodeError as error:
            code = max(code, 1)
            print(f"error: {source}: {error}", file=sys.stderr)
        except NonFiniteError as error:
            code = max(code, 1)
            message = f"error: {source}: adaptation diverged, {error}; try a smaller --inner_lr"
            print(message, file=sys.stderr)
        except UserError as error:  # the others are evaluated nevertheless
            code = 2
            print(f"error: {error}", file=sys.stderr)
    return code


def evaluate(source: Path, output: Path, evaluation: Evaluation) -> None:
    """Adapt a policy to every task; write the table, the figure and the videos, and print a summary.

    Args:
        source: A checkpoint, or a YAML file for an untrained policy.
        output: Directory to write to.
        evaluation: Tasks and settings.

    Raises:
        UserError: for files and values that do not fit.
        NonFiniteError: if adaptation diverges.
    """
    policy = load_untrained(source) if is_config(source) else load_trained(source)
    how, showing = evaluation.how, evaluation.showing
    check(policy, showing)
    mode = choose_mode()
    env = policy.data.env
    tasks = tasks_to_test(env, evaluation.tasks, how.seed)
    make_output(output)

    start = time.perf_counter()
    frame = policy.adaptation_table(env, tasks, how)
    seconds = time.perf_counter() - start

    table, figure, summary = output / ADAPTATION, output / FIGURE, summarise_adaptation(frame)
    frame.to_csv(table, index=False)
    write_record(policy, source, how, output / EVALUATED)
    plot_adaptation({policy.label: frame}, published_for(env, tasks), figure)
    print_summary(policy, how, summary, by_task(frame, env.task_parameters))
    print(f"{seconds:.1f} s; wrote {table} and {figure}", flush=True)

    videos = []
    if showing.videos:
        start = time.perf_counter()
        videos = write_videos(policy, tasks, showing.videos, how, output / VIDEO)
        print(
            f"{time.perf_counter() - start:.1f} s; wrote {', '.join(map(str, videos))}, with GIFs", flush=True
        )
    if mode:
        name = policy.config["name"] or source.stem
        config = policy.config | {"evaluation": {"source": str(source), **how._asdict()}}
        print("W&B", log_evaluation(name, mode, output, config, summary, figure, videos), flush=True)
    if showing.live:
        show_live(policy, tasks[0], how)


def check(policy: LoadedPolicy, showing: Showing) -> None:
    """Raise a UserError if there will be nothing to show."""
    if showing.videos or showing.live:
        robots(policy.data.env)
    if showing.videos:
        check_ffmpeg()


def by_task(frame: pd.DataFrame, parameters: Sequence[str]) -> pd.DataFrame:
    """Mean returns after each gradient step (rows) on each task (columns), if a few tasks recur; else empty.

    Args:
        frame: The table of adaptation.csv.
        parameters: The names of the tasks' columns in it.
    """
    tasks = frame.loc[:, list(parameters)]
    different = len(tasks.drop_duplicates())
    if not 1 < different <= min(FEW, frame["task"].nunique() - 1):
        return pd.DataFrame(index=frame["gradient_step"].unique())
    names = [
        ", ".join(f"{name} {value:g}" for name, value in row.items()) for row in tasks.to_dict("records")
    ]
    named = frame.assign(name=pd.Categorical(names, dict.fromkeys(names)))
    return named.pivot_table("return_mean", "gradient_step", "name", observed=False)


def print_summary(
    policy: LoadedPolicy, how: AdaptationSettings, summary: pd.DataFrame, tasks: pd.DataFrame
) -> None:
    """Print the mean return after each gradient step, and beside it those of `by_task`."""
    inner = policy.test_time(how.inner_lr)
    unit = " x variance" if inner.scale_by_variance else ""
    no = f"{type(policy.learner).__name__} does not adapt: no gradient step"
    rates = f"inner_lr {inner.rates}{unit}" if policy.learner.adapts else no
    print(f"{policy.label}: {summary['n'].iloc[0]} tasks, {how.episodes} episodes a step, {rates}")
    print("step  mean return    ± 95 %", *tasks, sep="  ")
    for step, mean, half_width, _ in summary.itertuples():
        own = [f"{value:{len(name)}.2f}" for name, value in tasks.loc[step].items()]
        half = "-" if math.isnan(half_width) else f"{half_width:.2f}"
        print(f"{step:4}  {mean:11.2f}  {half:>8}", *own, sep="  ")


def write_record(policy: LoadedPolicy, source: Path, how: AdaptationSettings, path: Path) -> None:
    """Write evaluation.json: what was evaluated and how."""
    record = {
        "label": policy.label,
        "trained": policy.trained,
        "iteration": policy.iteration,
        "source": str(source),
        "gradient_steps": policy.gradient_steps(how.gradient_steps),
        "episodes": how.episodes,
        "seed": how.seed,
        "inner_lr": list(policy.test_time(how.inner_lr).rates) if policy.learner.adapts else [],
        "command": shlex.join(typed()),
        "config": policy.config,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def default_output(source: Path) -> Path:
    """runs/NAME/evaluation for runs/NAME/checkpoints/X.ckpt, evaluation/STEM for conf/STEM.yaml."""
    if is_config(source):
        return Path(EVALUATION) / source.stem
    folder = source.parent
    return (folder.parent if folder.name == CHECKPOINTS else folder) / EVALUATION


def make_output(path: Path) -> None:
    """Make the directory for the results of an evaluation. A UserError if nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {path}: {error.strerror}; choose another --output") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"output {path}: not writable; choose another --output")
