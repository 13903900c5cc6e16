"""evaluate.py: from the command line to adaptation.csv and adaptation.png."""

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from meta_rl.errors import NonFiniteError, UserError, one_line

if TYPE_CHECKING:
    from meta_rl.algorithms import MetaLearner
    from meta_rl.datamodule import RolloutDataModule

DEFAULT_TASKS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says.

    Returns:
        0 when done, 1 if adaptation diverged, 2 for bad input, 130 after Ctrl-C. Other exceptions are bugs
        and keep their traceback.
    """
    try:
        evaluate(_parser().parse_args(argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except NonFiniteError as error:
        print(f"error: adaptation diverged, {error}; try a smaller --inner_lr", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def evaluate(args: argparse.Namespace) -> None:
    """Adapt the policy to every task; write the table and the figure, and print a summary."""
    # Here, so that --help and a mistyped flag need not wait for torch.
    from meta_rl.evaluation import adaptation_curve, adaptation_frame, unseen_tasks
    from meta_rl.inner import InnerLoop
    from meta_rl.plotting import plot_adaptation
    from meta_rl.reference import published_for
    from meta_rl.statistics import summarise_adaptation
    from meta_rl.tasks import read_tasks

    learner, data, label = load(args.checkpoint, args.config)
    env = data.env
    count = args.num_tasks or DEFAULT_TASKS
    tasks = read_tasks(args.tasks, env) if args.tasks else unseen_tasks(env, count, args.seed)
    output = _make_directory(args.output or default_output(args.checkpoint, args.config))
    rates = args.inner_lr or learner.inner.rates
    inner = InnerLoop(learner.policy, rates, adapt_log_std=learner.inner.adapt_log_std)

    start = time.perf_counter()
    estimator = data.sampler.estimator
    returns = adaptation_curve(
        learner.policy, inner, env, tasks, args.gradient_steps, args.episodes, estimator, args.seed
    )
    seconds = time.perf_counter() - start

    frame = adaptation_frame(env, tasks, returns)
    frame.to_csv(output / "adaptation.csv", index=False)
    plot_adaptation({label: frame}, published_for(env, tasks), output / "adaptation.png")
    print(f"{label}: {len(tasks)} tasks, {args.episodes} episodes a step, inner_lr {rates}")
    print("step  mean return    ± 95 %")
    for step, mean, half_width, _ in summarise_adaptation(frame).itertuples():
        print(f"{step:4}  {mean:11.2f}  {'-' if math.isnan(half_width) else f'{half_width:.2f}':>8}")
    print(f"{seconds:.1f} s; wrote {output / 'adaptation.csv'} and {output / 'adaptation.png'}")


def load(checkpoint: Path | None, config: Path | None) -> tuple["MetaLearner", "RolloutDataModule", str]:
    """The learner with its policy, the data module, and a name: of a checkpoint, or freshly initialised.

    Raises:
        UserError: if the file is not what it should be.
    """
    from meta_rl.experiment.checkpoint import load_checkpoint
    from meta_rl.experiment.config import instantiate, read_config

    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # no word on its own seed, unused here
    saved = load_checkpoint(checkpoint) if checkpoint else None
    experiment = saved["meta_rl"]["config"] if saved else read_config(config or "")
    try:
        learner, data = instantiate(experiment)
    except UserError as error:
        raise UserError(f"checkpoint {checkpoint}: {error}" if saved else str(error)) from None
    learner.build(data.env, data.seed)
    if saved is None:
        return learner, data, f"{experiment['name'] or Path(config or '').stem}, untrained"
    try:
        learner.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        reason = one_line(error)
        raise UserError(f"checkpoint {checkpoint}: its weights do not fit its own config: {reason}") from None
    return learner, data, experiment["name"]


def default_output(checkpoint: Path | None, config: Path | None) -> Path:
    """runs/NAME/evaluation for runs/NAME/checkpoints/X.ckpt, evaluation/STEM for conf/STEM.yaml."""
    if checkpoint is None:
        return Path("evaluation") / Path(config or "").stem
    folder = checkpoint.parent
    return (folder.parent if folder.name == "checkpoints" else folder) / "evaluation"


def _make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output {path}: {error.strerror}; choose another --output") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"output {path}: not writable; choose another --output")
    return path


class _Parser(argparse.ArgumentParser):
    """Raises a UserError of one line where the base class prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="evaluate.py",
        description="Adapt a policy to unseen tasks by vanilla policy gradient, with fresh episodes before "
        "each step. Writes adaptation.csv and adaptation.png, over those of an earlier evaluation.",
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--checkpoint",
        type=Path,
        help="Of train.py, nothing else is needed: runs/NAME/checkpoints/last.ckpt, or best.ckpt, the state "
        "after the training iteration with the highest return after adaptation.",
    )
    source.add_argument("--config", type=Path, help="Evaluate an untrained policy of this experiment.")
    tasks = parser.add_mutually_exclusive_group()
    # No default here: argparse would not see a conflict with a value that equals the default.
    count = _whole_number(1)
    tasks.add_argument("--num_tasks", type=count, help=f"Unseen tasks to draw (default: {DEFAULT_TASKS}).")
    tasks.add_argument("--tasks", type=Path, help="CSV of tasks; its header names their parameters.")
    steps = _whole_number(0)
    parser.add_argument("--gradient_steps", type=steps, default=3, help="Adaptation steps (default: 3).")
    parser.add_argument("--episodes", type=count, default=40, help="Per task and step (default: 40).")
    parser.add_argument("--seed", type=steps, default=0, help="Of tasks and episodes (default: 0).")
    parser.add_argument(
        "--inner_lr",
        type=_rates,
        metavar="RATE | [RATE,...]",
        help="Learning rate, or one a step, the last for all later ones (default: as in training).",
    )
    parser.add_argument(
        "--output", type=Path, help="Directory (default: runs/NAME/evaluation, or evaluation/CONFIG_STEM)."
    )
    return parser


def _whole_number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.lstrip("-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return parse


def _rates(text: str) -> list[float]:
    """'0.1' or '[0.5, 0.25]' as a list of rates."""
    try:
        rates = [float(part) for part in text.strip().removeprefix("[").removesuffix("]").split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise argparse.ArgumentTypeError(f"expected positive numbers such as 0.1 or [0.5,0.25], got {text!r}")
    return rates
