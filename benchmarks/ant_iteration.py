"""Whole meta-iterations on MuJoCo's Ant against their bare physics, and how they grow with the tasks.

    python benchmarks/ant_iteration.py [--iterations 5] [--threads 2] [--tasks 40] [--episodes 20]
        [--fisher_fraction 0.1] [--matmul_precision medium] [--only FOMAML]

Bare physics: `mujoco.batch.Batch.step` alone on the live simulations of both phases of an iteration, with the
actions that were taken, replayed right after the iteration. Every algorithm runs in its own process, so that
peak memory is its own. A list of tasks or episodes, such as --tasks 10 20 40 80, gives one row each.
"""

import argparse
import subprocess
import sys
import time
from itertools import product
from statistics import median
from typing import Any

from meta_rl.threads import configure

configure()
import lightning as L  # noqa: E402  (after the thread environment)
from ant_rollout import Physics  # noqa: E402
from training import set_up, train  # noqa: E402

from meta_rl.algorithms import FOMAML, MAML  # noqa: E402
from meta_rl.algorithms.base import peak_memory_mb  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import AntDirection  # noqa: E402

ALGORITHMS = {"FOMAML": FOMAML, "MAML": MAML}
PHASES = ("sampling", "inner", "gradient", "cg", "line_search")
WARM_UP = 1


class Timer(L.Callback):
    """Wall time of every iteration, and of its physics replayed after it."""

    def __init__(self, physics: Physics) -> None:
        self.physics = physics
        self.rows: list[dict[str, float]] = []
        self.begin = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.recording = self.physics.recorded()
        self.recording.__enter__()
        self.begin = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        seconds = time.perf_counter() - self.begin
        self.recording.__exit__(None, None, None)
        bare, steps = self.physics.replay()
        logged = {phase: float(trainer.callback_metrics[f"time_{phase}"]) for phase in PHASES}
        self.rows.append({"iteration": seconds, "physics": bare, "steps": steps, **logged})
        self.on_train_start()


def measure(args: argparse.Namespace, name: str, tasks: int, episodes: int) -> None:
    """Train a few iterations and print their medians."""
    set_up(args.threads, args.matmul_precision)
    env = AntDirection()  # its clones simulate on the threads that compute
    learner = ALGORITHMS[name](fisher_fraction=args.fisher_fraction, curvature_every_n_steps=0)
    timer = Timer(Physics())
    train(learner, RolloutDataModule(env, tasks, episodes), WARM_UP + args.iterations, timer)
    rows = timer.rows[WARM_UP:]
    middle = {key: median(row[key] for row in rows) for key in rows[0]}
    ratios = [row["iteration"] / row["physics"] for row in rows]
    print(f"{name:<7} {tasks:5} {episodes:8} {middle['steps']:9,.0f} {middle['physics']:8.2f}", end="")
    print("".join(f" {middle[phase]:11.3f}" for phase in PHASES), end="")
    print(
        f" {middle['iteration']:9.2f} {median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})", end=""
    )
    print(f" {peak_memory_mb():8,.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=5, help="timed, after one to warm up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tasks", type=int, nargs="+", default=[40])
    parser.add_argument("--episodes", type=int, nargs="+", default=[20])
    parser.add_argument("--fisher_fraction", type=float, default=0.1)
    parser.add_argument("--matmul_precision", choices=["highest", "high", "medium"], default="medium")
    parser.add_argument("--only", choices=list(ALGORITHMS), help="in this process")
    args = parser.parse_args()
    if args.only:
        return measure(args, args.only, args.tasks[0], args.episodes[0])
    columns = "".join(f" {phase:>11}" for phase in PHASES)
    print(f"{'':7} tasks episodes     steps  physics{columns} iteration  ratio{'':16} peak RSS")
    options = [f"--{key}={vars(args)[key]}" for key in ("iterations", "threads", "fisher_fraction")]
    options.append(f"--matmul_precision={args.matmul_precision}")
    for name, tasks, episodes in product(ALGORITHMS, args.tasks, args.episodes):
        sizes = [f"--tasks={tasks}", f"--episodes={episodes}", f"--only={name}"]
        subprocess.run([sys.executable, sys.argv[0], *options, *sizes], check=True)


if __name__ == "__main__":
    main()
