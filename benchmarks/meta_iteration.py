"""Where the time of a meta-iteration goes, against the bare matrix products that each phase needs.

    python benchmarks/meta_iteration.py [--iterations 7] [--threads 2] [--busy]
        [--fisher_fraction 1.0] [--matmul_precision highest]

Point mass, 40 tasks x 20 episodes x 100 steps, hidden 100-100. Every algorithm runs in its own process, so
that peak memory is its own. With --busy another process keeps one core busy all the while.
"""

import argparse
import math
import subprocess
import sys
import time
from statistics import median
from typing import Any

from meta_rl.threads import configure

configure()
import lightning as L  # noqa: E402  (after the thread environment)
import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402
from training import set_up, train  # noqa: E402

from meta_rl.algorithms import FOMAML, MAML  # noqa: E402
from meta_rl.algorithms.base import peak_memory_mb  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import PointMass  # noqa: E402
from meta_rl.policy import repeat  # noqa: E402
from meta_rl.randomness import Phase  # noqa: E402

PHASES = ("sampling", "inner", "gradient", "cg", "line_search")
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=7, help="timed, after two to warm up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument("--fisher_fraction", type=float, default=1.0)
    parser.add_argument("--matmul_precision", choices=["highest", "high", "medium"], default="highest")
    parser.add_argument("--only", choices=["MAML", "FOMAML"], help="in this process")
    args = parser.parse_args()
    if args.only:
        return measure({"MAML": MAML, "FOMAML": FOMAML}[args.only], args)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if args.busy else None
    try:
        for name in ("FOMAML", "MAML"):
            subprocess.run([sys.executable, *sys.argv, "--only", name], check=True)
    finally:
        if busy is not None:
            busy.kill()


def measure(algorithm: type[MAML], args: argparse.Namespace) -> None:
    """Train a few iterations and print the medians."""
    set_up(args)
    rate = sgemm_rate()
    learner = algorithm(fisher_fraction=args.fisher_fraction, curvature_every_n_steps=0)
    datamodule = RolloutDataModule(PointMass())
    rows = _Rows()
    train(learner, datamodule, WARM_UP + args.iterations, rows)
    memory = peak_memory_mb()
    counted = rows.rows[WARM_UP:]
    trials = median(row["trials"] for row in counted)
    flops = count_flops(learner, datamodule, trials)
    print(f"\n{algorithm.__name__}, {args.threads} threads, SGEMM {rate / 1e9:.0f} GFLOP/s", end="")
    print(f", Fisher on {args.fisher_fraction:.0%} of the query states, {trials:.0f} line-search trials")
    print(f"{'phase':<12} {'median s':>9} {'min':>7} {'max':>7} {'bare products s':>16} {'ratio':>6}")
    for phase in (*PHASES, "iteration"):
        times = [row[phase] for row in counted]
        bare = (flops[phase] if phase in flops else sum(flops.values())) / rate
        print(f"{phase:<12} {median(times):9.3f} {min(times):7.3f} {max(times):7.3f}", end="")
        print(f" {bare:16.3f} {median(times) / bare:6.1f}")
    speed = median(row["env_steps"] / row["sampling"] for row in counted)
    print(f"{speed:,.0f} environment steps/s while sampling, peak memory {memory:,.0f} MB")


class _Rows(L.Callback):
    """Collects the timings that the learner logs, and wall time from one iteration to the next."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.last, self.last_steps = time.perf_counter(), 0.0

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        now = time.perf_counter()
        row = {phase: logged[f"time_{phase}"] for phase in PHASES}
        row["iteration"], self.last = now - self.last, now
        row["env_steps"], self.last_steps = logged["env_steps"] - self.last_steps, logged["env_steps"]
        fraction = logged["accepted_step_fraction"]
        row["trials"] = 1 + round(math.log(fraction) / math.log(0.8)) if fraction > 0 else 15
        self.rows.append(row)


def sgemm_rate() -> float:
    """FLOP/s of a batched product of the policy's hidden layer, on a chunk that fits the cache."""
    x, w = torch.randn(4, 2000, 100), torch.randn(4, 100, 100)
    times = []
    for _ in range(100):
        start = time.perf_counter()
        torch.bmm(x, w)
        times.append(time.perf_counter() - start)
    return 2 * 4 * 2000 * 100 * 100 / median(times)


def count_flops(learner: MAML, datamodule: RolloutDataModule, trials: float) -> dict[str, float]:
    """Floating-point operations of the matrix products that each phase executes."""

    def counted(function: Any, *inputs: Any) -> tuple[Any, float]:
        with FlopCounterMode(display=False) as counter:
            return function(*inputs), float(counter.get_total_flops())

    batch, support = counted(datamodule.meta_batch, learner.policy, learner.theta(), 0)
    with torch.no_grad():
        params = repeat(learner.theta(), len(batch.tasks))
        adapted, inner = counted(learner.inner.replay, params, [batch.support.samples])
    query, sampling = counted(datamodule.collect, learner.policy, adapted, batch.tasks, 0, Phase.QUERY)
    objective = learner.objective([batch.support], adapted, query, learner.first_order)
    (_, gradient), flops = counted(objective.gradient, learner.theta())
    vector = torch.cat([g.flatten() for g in gradient])
    _, product = counted(objective.fisher_product, vector)
    _, trial = counted(objective.evaluate, learner.theta())
    iterations = learner.trust_region["cg_iters"]
    return {
        "sampling": support + sampling,
        "inner": inner,
        "gradient": flops,
        "cg": iterations * product,
        "line_search": trials * trial,
    }


if __name__ == "__main__":
    main()
