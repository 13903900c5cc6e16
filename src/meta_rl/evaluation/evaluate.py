"""Policies on unseen tasks: adaptation.csv, evaluation.json, figure, summary, and what can be seen of it."""

import json
import math
import shlex
import sys
import time
from argparse import Namespace
from pathlib import Path

import pandas as pd

from meta_rl.charts.plotting import plot_adaptation
from meta_rl.errors import EpisodeError, NonFiniteError, UserError
from meta_rl.evaluation.curve import tasks_to_test
from meta_rl.evaluation.film import Adaptation, robots, watch, write_videos
from meta_rl.evaluation.loaded import LoadedPolicy, load_trained, load_untrained
from meta_rl.evaluation.published import published_for
from meta_rl.evaluation.statistics import summarise_adaptation
from meta_rl.evaluation.wandb_run import log_evaluation
from meta_rl.run.directory import make_output
from meta_rl.run.tracking import choose_mode
from meta_rl.show.video import check_ffmpeg


def evaluate_all(args: Namespace) -> int:
    """Evaluate every policy of the command line.

    Returns:
        0, 1 if adaptation of one diverged, 2 if something does not fit; the others are evaluated.

    Raises:
        UserError: if several cannot be evaluated as asked.
    """
    sources = args.checkpoint or [args.config]
    for flag in ("output", "view"):
        if len(sources) > 1 and getattr(args, flag):
            raise UserError(f"--{flag}: goes with one checkpoint; several are written to their own runs")
    outputs = [args.output or default_output(source, bool(args.checkpoint)) for source in sources]
    for output in outputs:
        if outputs.count(output) > 1:
            raise UserError(
                f"--checkpoint: two of them belong to {output}; evaluate them one by one with --output"
            )
    code = 0
    for source, output in zip(sources, outputs, strict=True):
        try:
            evaluate(source, output, args)
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


def evaluate(source: Path, output: Path, args: Namespace) -> None:
    """Adapt a policy to every task; write the table, the figure and the videos, and print a summary.

    Args:
        source: A checkpoint, or a YAML file if that is what the command line names.
        output: Directory to write to.
        args: The rest of the command line.

    Raises:
        UserError: for files and values that do not fit.
        NonFiniteError: if adaptation diverges.
    """
    policy = load_trained(source) if args.checkpoint else load_untrained(source)
    check_adaptation(policy, args)
    check_showing(policy, args)
    mode = choose_mode()
    env, steps = policy.data.env, policy.gradient_steps(args.gradient_steps)
    tasks = tasks_to_test(env, args.tasks, args.num_tasks, args.seed)
    make_output(output)

    start = time.perf_counter()
    frame = policy.adapt(env, tasks, steps, args.episodes, args.seed, args.inner_lr)
    seconds = time.perf_counter() - start

    table, figure, summary = output / "adaptation.csv", output / "adaptation.png", summarise_adaptation(frame)
    frame.to_csv(table, index=False)
    write_record(policy, source, args, output / "evaluation.json")
    plot_adaptation({policy.label: frame}, published_for(env, tasks), figure)
    report(policy, args, summary)
    print(f"{seconds:.1f} s; wrote {table} and {figure}", flush=True)

    how, videos = Adaptation(steps, args.episodes, args.seed, args.inner_lr), []
    if args.video:
        start = time.perf_counter()
        videos = write_videos(policy, tasks, args.video, how, output / "video")
        print(f"{time.perf_counter() - start:.1f} s; wrote {', '.join(map(str, videos))}", flush=True)
    if mode:
        name = policy.config["name"] or source.stem
        config = policy.config | {"evaluation": {"source": str(source), **how._asdict()}}
        print("W&B", log_evaluation(name, mode, output, config, summary, figure, videos), flush=True)
    if args.view:
        watch(policy, tasks[0], how)


def check_adaptation(policy: LoadedPolicy, args: Namespace) -> None:
    """Raise a UserError if a policy that does not adapt is asked to."""
    if policy.learner.adapts:
        return
    several = args.checkpoint and len(args.checkpoint) > 1  # asked of those that do
    for flag in ("gradient_steps", "inner_lr"):
        if getattr(args, flag) and not several:
            raise UserError(f"--{flag}: {type(policy.learner).__name__} takes no gradient step; leave it out")


def check_showing(policy: LoadedPolicy, args: Namespace) -> None:
    """Raise a UserError if there will be nothing to show."""
    if args.video or args.view:
        robots(policy.data.env)
    if args.video:
        check_ffmpeg()


def report(policy: LoadedPolicy, args: Namespace, summary: pd.DataFrame) -> None:
    """Print the mean return after each gradient step."""
    inner = policy.test_time(args.inner_lr)
    unit = " x variance" if inner.scale_by_variance else ""
    rates = f"inner_lr {inner.rates}{unit}" if policy.learner.adapts else "no adaptation"
    print(f"{policy.label}: {summary['n'].iloc[0]} tasks, {args.episodes} episodes a step, {rates}")
    print("step  mean return    ± 95 %")
    for step, mean, half_width, _ in summary.itertuples():
        print(f"{step:4}  {mean:11.2f}  {'-' if math.isnan(half_width) else f'{half_width:.2f}':>8}")


def write_record(policy: LoadedPolicy, source: Path, args: Namespace, path: Path) -> None:
    """What was evaluated and how, beside its results."""
    record = {
        "label": policy.label,
        "trained": policy.trained,
        "iteration": policy.iteration,
        "source": str(source),
        "gradient_steps": policy.gradient_steps(args.gradient_steps),
        "episodes": args.episodes,
        "seed": args.seed,
        "inner_lr": list(policy.test_time(args.inner_lr).rates) if policy.learner.adapts else [],
        "command": shlex.join(["python", *sys.argv]),
        "config": policy.config,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")


def default_output(source: Path, checkpoint: bool) -> Path:
    """runs/NAME/evaluation for runs/NAME/checkpoints/X.ckpt, evaluation/STEM for conf/STEM.yaml."""
    if not checkpoint:
        return Path("evaluation") / source.stem
    folder = source.parent
    return (folder.parent if folder.name == "checkpoints" else folder) / "evaluation"
