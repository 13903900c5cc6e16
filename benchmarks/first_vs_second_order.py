"""What the second order costs: time and peak memory of MAML against FOMAML and Reptile.

    python benchmarks/first_vs_second_order.py [--families point_mass ant] [--rounds 9] [--threads 2]
        [--inner_steps 1 2 3] [--tasks 5 10 20 40] [--episodes 20] [--output results/timing] [--redraw]

Every batch size is measured at the fewest inner steps, and every number of inner steps at the largest batch.
A round is one meta-iteration of each algorithm in turn, in an order that rotates, all from the same fresh
parameters, tasks and first episodes; another round has others. Three times are taken of each:

    gradient    the meta-gradient alone, without Fisher products: from theta and its episodes to the gradient,
                adaptation included. Reptile's is the mean of theta - theta_i.
    step        the whole optimisation step: inner steps, gradient, what prepares Fisher products, conjugate
                gradients, line search. Baselines and advantages belong to sampling, which is left out.
    iteration   wall time of the whole meta-iteration: sampling, step, logged numbers. With k inner steps MAML
                and FOMAML sample k + 1 times, Reptile k times (for k = 1 once more, for the log).

Ratios are paired within a round; intervals are a median's by order statistics, at 95 % or a little more (none
below 6 rounds). Peak memory is the resident set of two iterations in a process of their own, and what it was
before them. --output gets rounds.csv, memory.csv, made.json, and from these, with --redraw from these alone,
summary.csv and the figures.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from meta_rl.threads import available_cores, configure

configure()
import lightning as L  # noqa: E402  (after the thread environment)
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch.callbacks import LambdaCallback  # noqa: E402
from timing_summary import write_report  # noqa: E402
from torch import nn  # noqa: E402
from tqdm import tqdm  # noqa: E402
from training import set_up, train  # noqa: E402

from meta_rl.algorithms import FOMAML, MAML, MetaLearner, Reptile  # noqa: E402
from meta_rl.algorithms.base import Timer, peak_memory_mb  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import AntDirection, BatchedEnv, PointMass  # noqa: E402
from meta_rl.policy import repeat  # noqa: E402
from meta_rl.run.record import commit, machine, versions  # noqa: E402
from meta_rl.types import Experience, Params  # noqa: E402

ALGORITHMS: dict[str, type[MetaLearner]] = {"MAML": MAML, "FOMAML": FOMAML, "Reptile": Reptile}
WARM_UP = 1  # rounds of each case that are not counted
PRELOADED = ["meta_rl.algorithms", "meta_rl.data", "meta_rl.envs"]


class Family(NamedTuple):
    """Defaults of a family of tasks: as in the shipped configurations, of a size for minutes on two cores."""

    tasks: list[int]
    episodes: list[int]
    fisher_fraction: float


FAMILIES = {"point_mass": Family([5, 10, 20, 40], [20], 1.0), "ant": Family([5, 10, 20], [10], 0.1)}


class Case(NamedTuple):
    """What is measured at a time."""

    family: str
    inner_steps: int
    tasks: int
    episodes: int

    def env(self, threads: int) -> BatchedEnv:
        return PointMass() if self.family == "point_mass" else AntDirection(num_threads=threads)

    def learner(self, name: str, fisher_fraction: float | None) -> MetaLearner:
        """A fresh one, without the diagnostics that take a further gradient."""
        options: dict[str, Any] = {"num_inner_steps": self.inner_steps}
        if name != "Reptile":
            share = fisher_fraction or FAMILIES[self.family].fisher_fraction
            options |= {"fisher_fraction": share, "curvature_every_n_steps": 0}
        return ALGORITHMS[name](**options)


class Recorder(RolloutDataModule):
    """Keeps the episodes that it collects."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.collected: list[Experience] = []

    def collect(
        self, policy: nn.Module, params: Params, tasks: torch.Tensor, iteration: int, phase: int
    ) -> Experience:
        self.collected.append(super().collect(policy, params, tasks, iteration, phase))
        return self.collected[-1]


class Clock(L.Callback):
    """Wall time of one iteration, and the parameters that it started from."""

    def on_train_start(self, trainer: L.Trainer, pl_module: MetaLearner) -> None:
        self.theta = {name: value.clone() for name, value in pl_module.theta().items()}
        self.begin = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.iteration = time.perf_counter() - self.begin
        self.step = float(trainer.callback_metrics["time_update"])


def gradient_seconds(learner: MetaLearner, theta: Params, collected: list[Experience]) -> float:
    """Time of the meta-gradient at `theta` on the episodes of an iteration, with a single adaptation."""
    support = collected[: learner.num_inner_steps]
    timer = Timer()
    with timer("adapt"), torch.no_grad():
        adapted = learner.inner.replay(repeat(theta, len(support[0].returns)), [b.samples for b in support])
    with timer("gradient"):
        if isinstance(learner, MAML):
            objective = learner.objective(support, adapted, collected[-1], learner.first_order)
            objective.gradient(theta, with_fisher=False)
        else:
            _ = [theta[name] - adapted[name].mean(0) for name in theta]
    if isinstance(learner, MAML) and not learner.first_order:
        return timer.seconds["gradient"]  # adapts again in there, with a graph
    return sum(timer.seconds.values())


def time_round(case: Case, env: BatchedEnv, index: int, share: float | None) -> Iterator[dict[str, Any]]:
    """One iteration of each algorithm from the same start; rows of rounds.csv."""
    names = list(ALGORITHMS)
    first = index % len(names)
    for name in names[first:] + names[:first]:
        learner, clock = case.learner(name, share), Clock()
        datamodule = Recorder(env, case.tasks, case.episodes, seed=index)
        train(learner, datamodule, 1, clock)
        gradient = gradient_seconds(learner, clock.theta, datamodule.collected)
        for part, seconds in {"gradient": gradient, "step": clock.step, "iteration": clock.iteration}.items():
            yield {**case._asdict(), "algorithm": name, "round": index, "part": part, "seconds": seconds}


def measure_memory(case: Case, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Two iterations in this process, which has done nothing else; a row of memory.csv."""
    set_up(args.threads, args.matmul_precision)
    start: list[float] = []
    before = LambdaCallback(on_train_start=lambda *_: start.append(peak_memory_mb()))
    datamodule = RolloutDataModule(case.env(args.threads), case.tasks, case.episodes)
    train(case.learner(name, args.fisher_fraction), datamodule, 2, before)
    return {**case._asdict(), "algorithm": name, "start_mb": start[0], "peak_mb": peak_memory_mb()}


def cases(args: argparse.Namespace) -> list[Case]:
    """Every batch at the fewest inner steps, every number of inner steps at the largest batch."""
    found: dict[Case, None] = {}  # in order, each once
    for family in args.families:
        tasks, episodes = args.tasks or FAMILIES[family].tasks, args.episodes or FAMILIES[family].episodes
        batches = [Case(family, min(args.inner_steps), n, k) for k in sorted(episodes) for n in sorted(tasks)]
        steps = [Case(family, k, max(tasks), max(episodes)) for k in sorted(args.inner_steps)]
        found |= dict.fromkeys(batches + steps)
    return list(found)


def measure(args: argparse.Namespace) -> None:
    """Measure all cases and write what was measured."""
    set_up(args.threads, args.matmul_precision)
    times: list[dict[str, Any]] = []
    memory: list[dict[str, Any]] = []
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)  # so that a process starts in no time
    todo = cases(args)
    with tqdm(total=len(todo) * (WARM_UP + args.rounds + len(ALGORITHMS)), file=sys.stderr) as bar:
        for case in todo:
            bar.set_description(f"{case.family} {case.tasks} x {case.episodes}, {case.inner_steps} inner")
            env = case.env(args.threads)
            for index in range(WARM_UP + args.rounds):
                rows = list(time_round(case, env, index, args.fisher_fraction))
                times += rows if index >= WARM_UP else []
                bar.update()
            with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as process:
                for name in ALGORITHMS:
                    memory.append(process.submit(measure_memory, case, name, args).result())
                    bar.update()
    made = {"options": vars(args) | {"output": str(args.output)}, "commit": commit()}
    made |= {"machine": machine(), "versions": versions()}
    args.output.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(times).to_csv(args.output / "rounds.csv", index=False, float_format="%.6f")
    pd.DataFrame(memory).to_csv(args.output / "memory.csv", index=False, float_format="%.1f")
    (args.output / "made.json").write_text(json.dumps(made, indent=1) + "\n")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--rounds", type=positive, default=9, help="timed, after one to warm up")
    parser.add_argument("--inner_steps", type=positive, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tasks", type=positive, nargs="+", help="default: point_mass 5 to 40, ant 5 to 20")
    parser.add_argument("--episodes", type=positive, nargs="+", help="default: point_mass 20, ant 10")
    parser.add_argument("--fisher_fraction", type=float, help="default: point_mass 1, ant 0.1")
    parser.add_argument("--matmul_precision", choices=["highest", "high", "medium"], default="highest")
    parser.add_argument("--threads", type=positive, default=available_cores(), help="default: all cores")
    parser.add_argument("--output", type=Path, default=Path("results/timing"))
    parser.add_argument("--redraw", action="store_true", help="summary and figures of what is in --output")
    args = parser.parse_args()
    if args.fisher_fraction is not None and not 0 < args.fisher_fraction <= 1:
        parser.error(f"--fisher_fraction must lie in (0, 1], got {args.fisher_fraction}")
    if not args.redraw:
        measure(args)
    elif not (args.output / "rounds.csv").is_file() or not (args.output / "memory.csv").is_file():
        parser.error(f"--redraw: {args.output} holds no rounds.csv and memory.csv")
    write_report(args.output)


if __name__ == "__main__":
    main()
