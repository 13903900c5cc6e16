"""Where the time of a meta-iteration goes, against the bare matrix products that each phase needs.

    python benchmarks/meta_iteration.py [--iterations 7] [--threads 1 2 0] [--busy]
        [--fisher_fraction 1.0] [--matmul_precision highest]

Point mass, 40 tasks x 20 episodes x 100 steps, hidden 100-100; 0 threads are one a core. Every algorithm and
number of threads runs in its own process, so that peak memory is its own. With --busy another process keeps
one core busy all the while. *Bare products* are a fixed count of floating-point operations, at a rate that
is measured after every iteration on as many threads.
"""

import argparse
import math
import resource
import subprocess
import sys
import time
from statistics import median
from typing import Any

from meta_rl.threads import configure

configure()
import lightning as L  # noqa: E402  (after the thread environment)
import torch  # noqa: E402
from training import set_up, train  # noqa: E402

from meta_rl import threads  # noqa: E402
from meta_rl.algorithms import FOMAML, MAML  # noqa: E402
from meta_rl.algorithms.base import peak_memory_mb  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import PointMass  # noqa: E402

PHASES = ("sampling", "inner", "gradient", "cg", "line_search")
WARM_UP = 2
# 1e9 floating-point operations of each phase's matrix products as autograd executes them: all states in
# Fisher products, ten iterations of conjugate gradient, one trial of the line search. Counted by
# FlopCounterMode before derivatives were written out, so that the yardstick stays the same.
GIGAFLOP = {
    "FOMAML": {"sampling": 3.355, "inner": 4.960, "gradient": 4.960, "cg": 65.920, "line_search": 6.624},
    "MAML": {"sampling": 3.355, "inner": 4.960, "gradient": 19.776, "cg": 263.040, "line_search": 6.624},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=7, help="timed, after two to warm up")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 0])
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument("--fisher_fraction", type=float, default=1.0)
    parser.add_argument("--matmul_precision", choices=["highest", "high", "medium"], default="highest")
    parser.add_argument("--only", choices=["MAML", "FOMAML"], help="of the algorithms")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process
    args = parser.parse_args()
    numbers = list(dict.fromkeys(n or threads.available_cores() for n in args.threads))
    if args.here:
        return measure({"MAML": MAML, "FOMAML": FOMAML}[args.only], numbers[0], args)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if args.busy else None
    try:
        for name in [args.only] if args.only else ["FOMAML", "MAML"]:
            for number in numbers:
                again = [*sys.argv, "--here", "--only", name, "--threads", str(number)]
                subprocess.run([sys.executable, *again], check=True)
    finally:
        if busy is not None:
            busy.kill()


def measure(algorithm: type[MAML], number: int, args: argparse.Namespace) -> None:
    """Train a few iterations and print the medians."""
    set_up(number, args.matmul_precision)
    learner = algorithm(fisher_fraction=args.fisher_fraction, curvature_every_n_steps=0)
    rows = _Rows()
    train(learner, RolloutDataModule(PointMass()), WARM_UP + args.iterations, rows)
    counted, name = rows.rows[WARM_UP:], algorithm.__name__
    rate, trials = median(row["rate"] for row in counted), median(row["trials"] for row in counted)
    print(f"\n{name}, {number} threads, bare products at {rate / 1e9:.0f} GFLOP/s, ", end="")
    print(f"Fisher on {args.fisher_fraction:.0%} of the query states, {trials:.0f} line-search trials")
    print(f"{'phase':<12} {'median s':>9} {'min':>7} {'max':>7} {'bare products s':>16} {'ratio':>6}")
    for phase in (*PHASES, "iteration"):
        times = [row[phase] for row in counted]
        flop = 1e9 * (GIGAFLOP[name][phase] if phase in PHASES else sum(GIGAFLOP[name].values()))
        ratio = median(row[phase] / (flop / row["rate"]) for row in counted)
        print(f"{phase:<12} {median(times):9.3f} {min(times):7.3f} {max(times):7.3f}", end="")
        print(f" {flop / rate:16.3f} {ratio:6.2f}")
    speed = median(row["env_steps"] / row["sampling"] for row in counted)
    faults = median(row["faults"] for row in counted)
    print(
        f"{speed:,.0f} environment steps/s while sampling, {faults:,.0f} minor page faults an iteration",
        end="",
    )
    print(f", peak memory {peak_memory_mb():,.0f} MB")


class _Rows(L.Callback):
    """Collects the timings that the learner logs, and wall time and page faults of every iteration."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.last_steps = 0.0
        self._begin()

    def _begin(self) -> None:
        self.start, self.faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        row = {"iteration": time.perf_counter() - self.start}
        row["faults"] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - self.faults
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row |= {phase: logged[f"time_{phase}"] for phase in PHASES}
        row["env_steps"], self.last_steps = logged["env_steps"] - self.last_steps, logged["env_steps"]
        fraction = logged["accepted_step_fraction"]
        row["trials"] = 1 + round(math.log(fraction) / math.log(0.8)) if fraction > 0 else 15
        row["rate"] = product_rate()
        self.rows.append(row)
        self._begin()


def product_rate(products: int = 50) -> float:
    """FLOP/s of products of the policy's hidden layer with a task's states, on as many threads as compute."""
    workers = threads.number()
    data = [(torch.randn(1, 2000, 100), torch.randn(1, 100, 100)) for _ in range(workers)]

    def run(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        for _ in range(products):
            torch.bmm(*pair)

    times = []
    for _ in range(5):
        start = time.perf_counter()
        threads.each(run, data)
        times.append(time.perf_counter() - start)
    return workers * products * 2 * 2000 * 100 * 100 / median(times)


if __name__ == "__main__":
    main()
