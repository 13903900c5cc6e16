"""evaluate.py: from the command line to the evaluation of one policy, or the comparison of several."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run import streams
from meta_rl.run.arguments import Parser, is_config, path, whole_number
from meta_rl.run.program import usage
from meta_rl.run.quick_start import import_lightning
from meta_rl.run.shipped import configs, find_config
from meta_rl.show import opengl

DEFAULT_TASKS = 40
VIDEOS = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says.

    Returns:
        0 when done, 1 if adaptation diverged, 2 for bad input, 130 after Ctrl-C. Other exceptions are bugs
        and keep their traceback.
    """
    if argv is None:
        streams.prepare()
    try:
        return _run(make_parser().parse_args(argv))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(args: argparse.Namespace) -> int:
    """Check what can be checked at once, and start the one or the other. torch is loaded only then."""
    for flag in ("video", "view"):
        if getattr(args, flag) and args.compare:
            raise UserError(f"--{flag}: --compare shows nothing; evaluate one run alone to see it")
    if args.compare and args.inner_lr:
        raise UserError("--inner_lr: --compare uses the rates of each run; evaluate one alone to change them")
    args.config = args.config and find_config(args.config)
    args.compare = args.compare and [_named(path) for path in args.compare]
    if args.config and not is_config(args.config):
        raise UserError(f"--config: {args.config} is no YAML file; a checkpoint goes with --checkpoint")
    for checkpoint in args.checkpoint or ():
        if is_config(checkpoint):
            raise UserError(f"--checkpoint: {checkpoint} is no checkpoint; a YAML file goes with --config")
    if args.video:
        opengl.choose()
    if args.view and not opengl.can_open_windows():
        raise UserError("--view: MuJoCo's viewer finds no display; use --video instead")
    import_lightning()
    from meta_rl.evaluation.curve import TaskChoice
    from meta_rl.evaluation.loaded import AdaptationSettings

    choice = TaskChoice(args.num_tasks or DEFAULT_TASKS, args.tasks)
    how = AdaptationSettings(args.gradient_steps, args.episodes, args.seed, args.inner_lr)
    if args.compare:
        from meta_rl.evaluation.compare import compare

        return compare(args.compare, args.output or Path("evaluation/comparison"), choice, how)
    from meta_rl.evaluation.evaluate import Evaluation, Showing, evaluate_all

    showing = Showing(args.video or 0, args.view)
    return evaluate_all(args.checkpoint or [args.config], args.output, Evaluation(choice, how, showing))


def _named(path: Path) -> Path:
    """The shipped configuration of this name, unless there is such a path."""
    return path if path.exists() else configs().get(str(path), path)


def make_parser() -> argparse.ArgumentParser:
    """What evaluate.py understands."""
    parser = Parser(
        prog=usage("evaluate"),
        description="Adapt a policy to unseen tasks by vanilla policy gradient, with fresh episodes before "
        "each step. Writes adaptation.csv and adaptation.png, or with --compare comparison.csv and "
        "comparison.png, over those of an earlier evaluation.",
        allow_abbrev=False,
    )
    _add_policies(parser)
    _add_adaptation(parser)
    _add_showing(parser)
    parser.add_argument(
        "--output",
        type=path,
        help="Directory (default: runs/NAME/evaluation, evaluation/CONFIG_STEM, or evaluation/comparison).",
    )
    return parser


def _add_policies(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--checkpoint",
        type=path,
        nargs="+",
        metavar="CHECKPOINT",
        help="One or more that train.py wrote: runs/NAME/checkpoints/last.ckpt, or best.ckpt, the state "
        "after the training iteration with the highest return after adaptation.",
    )
    source.add_argument(
        "--config", type=path, help="Evaluate an untrained policy of this file, or shipped name."
    )
    source.add_argument(
        "--compare",
        type=path,
        nargs="+",
        metavar="RUN",
        help="Evaluate several on the same tasks, each with its own rates: run directories (last.ckpt), "
        "checkpoints, or for untrained policies YAML files or names of shipped ones. With an Oracle and a "
        "Random among them scores are normalised.",
    )


def _add_adaptation(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_mutually_exclusive_group()
    # No default here: argparse would not see a conflict with a value that equals the default.
    count = whole_number(1)
    tasks.add_argument("--num_tasks", type=count, help=f"Unseen tasks to draw (default: {DEFAULT_TASKS}).")
    tasks.add_argument("--tasks", type=path, help="CSV of tasks; its header names their parameters.")
    steps = whole_number(0)
    parser.add_argument(
        "--gradient_steps",
        type=steps,
        help="Adaptation steps (default: 3, or 0 where a policy never adapts).",
    )
    parser.add_argument("--episodes", type=count, default=40, help="Per task and step (default: 40).")
    parser.add_argument("--seed", type=steps, default=0, help="Decides tasks and episodes (default: 0).")
    parser.add_argument(
        "--inner_lr",
        type=_rates,
        metavar="RATE | [RATE,...]",
        help="Learning rate, or one a step, the last for all later ones; of the variance where "
        "model.scale_by_variance says so (default: as in training).",
    )


def _add_showing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--video",
        type=whole_number(1),
        nargs="?",
        const=VIDEOS,
        metavar="TASKS",
        help="Write an MP4 of each of the first different tasks, with an episode after every gradient step "
        f"side by side (default: {VIDEOS} tasks). For task families of MuJoCo.",
    )
    parser.add_argument(
        "--view",
        action="store_true",
        help="Afterwards, show the adapted policy on the first task in MuJoCo's viewer.",
    )


def _rates(text: str) -> list[float]:
    """'0.1' or '[0.5, 0.25]' as a list of rates."""
    try:
        rates = [float(part) for part in text.strip().removeprefix("[").removesuffix("]").split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise argparse.ArgumentTypeError(f"expected positive numbers such as 0.1 or [0.5,0.25], got {text!r}")
    return rates
