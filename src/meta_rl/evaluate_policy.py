"""One policy on unseen tasks: adaptation.csv, adaptation.png, a summary, and what can be seen of it."""

import math
import time
from argparse import Namespace
from pathlib import Path

import pandas as pd

from meta_rl.errors import UserError
from meta_rl.evaluation import tasks_to_test
from meta_rl.experiment.evaluation_run import log_evaluation
from meta_rl.experiment.policies import LoadedPolicy, load_trained, load_untrained
from meta_rl.experiment.run_directory import make_output
from meta_rl.experiment.tracking import choose_mode
from meta_rl.plotting import plot_adaptation
from meta_rl.recording import Adaptation, robots, watch, write_videos
from meta_rl.reference import published_for
from meta_rl.statistics import summarise_adaptation
from meta_rl.video import check_ffmpeg


def evaluate(args: Namespace) -> None:
    """Adapt the policy to every task; write the table, the figure and the videos, and print a summary.

    Raises:
        UserError: for files and values that do not fit.
        NonFiniteError: if adaptation diverges.
    """
    policy = load_trained(args.checkpoint) if args.checkpoint else load_untrained(args.config)
    check_adaptation(policy, args)
    check_showing(policy, args)
    mode = choose_mode()
    env, steps = policy.data.env, policy.gradient_steps(args.gradient_steps)
    tasks = tasks_to_test(env, args.tasks, args.num_tasks, args.seed)
    output = make_output(args.output or default_output(args.checkpoint, args.config))

    start = time.perf_counter()
    frame = policy.adapt(env, tasks, steps, args.episodes, args.seed, args.inner_lr)
    seconds = time.perf_counter() - start

    table, figure, summary = output / "adaptation.csv", output / "adaptation.png", summarise_adaptation(frame)
    frame.to_csv(table, index=False)
    plot_adaptation({policy.label: frame}, published_for(env, tasks), figure)
    report(policy, args, summary)
    print(f"{seconds:.1f} s; wrote {table} and {figure}", flush=True)

    how, videos = Adaptation(steps, args.episodes, args.seed, args.inner_lr), []
    if args.video:
        start = time.perf_counter()
        videos = write_videos(policy, tasks, args.video, how, output / "video")
        print(f"{time.perf_counter() - start:.1f} s; wrote {', '.join(map(str, videos))}", flush=True)
    if mode:
        name = policy.config["name"] or args.config.stem
        config = policy.config | {
            "evaluation": {"source": str(args.checkpoint or args.config), **how._asdict()}
        }
        print("W&B", log_evaluation(name, mode, output, config, summary, figure, videos), flush=True)
    if args.view:
        watch(policy, tasks[0], how)


def check_adaptation(policy: LoadedPolicy, args: Namespace) -> None:
    """Raise a UserError if a policy that does not adapt is asked to."""
    if policy.learner.adapts:
        return
    for flag in ("gradient_steps", "inner_lr"):
        if getattr(args, flag):
            raise UserError(f"--{flag}: {type(policy.learner).__name__} takes no gradient step; leave it out")


def check_showing(policy: LoadedPolicy, args: Namespace) -> None:
    """Raise a UserError if there will be nothing to show."""
    if args.video or args.view:
        robots(policy.data.env)
    if args.video:
        check_ffmpeg()


def report(policy: LoadedPolicy, args: Namespace, summary: pd.DataFrame) -> None:
    """Print the mean return after each gradient step."""
    rates = f"inner_lr {policy.test_time(args.inner_lr).rates}" if policy.learner.adapts else "no adaptation"
    print(f"{policy.label}: {summary['n'].iloc[0]} tasks, {args.episodes} episodes a step, {rates}")
    print("step  mean return    ± 95 %")
    for step, mean, half_width, _ in summary.itertuples():
        print(f"{step:4}  {mean:11.2f}  {'-' if math.isnan(half_width) else f'{half_width:.2f}':>8}")


def default_output(checkpoint: Path | None, config: Path | None) -> Path:
    """runs/NAME/evaluation for runs/NAME/checkpoints/X.ckpt, evaluation/STEM for conf/STEM.yaml."""
    if checkpoint is None:
        return Path("evaluation") / Path(config or "").stem
    folder = checkpoint.parent
    return (folder.parent if folder.name == "checkpoints" else folder) / "evaluation"
