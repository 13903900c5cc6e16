"""How a meta-iteration of Ant scales with processes: measured pieces, and a model of many nodes made of them.

    python benchmarks/scaling.py [--algorithm FOMAML] [--iterations 8] [--episodes 20] [--output scaling.json]
    python benchmarks/scaling.py --redraw scaling.json

Measured on one core: what sampling and the update take for 1 to 40 tasks, and how sampling varies between
iterations. Measured between two gloo processes on this machine: the time of a reduction, for a message of the
policy's size and for a single number.

Modelled: an iteration of N tasks on W processes of one core, N / W tasks a process. Sampling ends when the
slowest process does (the mean of the maximum of W normal variables, simulated); a reduction is a ring of
2 (W - 1) messages. Strong scaling keeps the 40 tasks of the paper, weak scaling 20 tasks a process.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
from meta_rl.threads import configure

configure()
import lightning as L  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch.callbacks import LambdaCallback  # noqa: E402
from torch import distributed  # noqa: E402
from torch.nn.utils import parameters_to_vector  # noqa: E402
from training import set_up, train  # noqa: E402

from meta_rl.algorithms import FOMAML, MAML  # noqa: E402
from meta_rl.data import RolloutDataModule  # noqa: E402
from meta_rl.envs import AntDirection  # noqa: E402

TASKS = (1, 2, 5, 10, 20, 40)
CG = 10  # Fisher products of an iteration
TRIALS = 2  # that the line search makes, on average
NUMBERS = 8  # reductions of a few numbers: padding, losses, metrics
# One message between two nodes, in seconds, and bytes a second: usual figures, not measured here.
NETWORKS = {"10 Gbit Ethernet": (50e-6, 1.25e9), "100 Gbit InfiniBand": (5e-6, 12.5e9)}


class Pieces(NamedTuple):
    """Seconds of one process as functions of its tasks, a + b n, and of a reduction."""

    sampling: tuple[float, float]  # both phases
    spread: float  # standard deviation / mean of sampling, between iterations
    update: tuple[float, float]  # adaptation, gradient, ten Fisher products, line search
    other: float  # logging and the loop, independent of the tasks
    message: int  # bytes of a vector of the policy's size


def measure(algorithm: type[MAML], tasks: int, episodes: int, iterations: int) -> dict[str, Any]:
    """Median seconds of an iteration of `tasks` tasks on one core and of its parts."""
    rows: dict[str, list[float]] = defaultdict(list)
    learner = algorithm(fisher_fraction=0.1)

    def note(trainer: L.Trainer, *_: Any) -> None:
        for name in ("time_sampling", "time_update"):
            rows[name].append(float(trainer.callback_metrics[name]))
        rows["end"].append(time.perf_counter())

    data = RolloutDataModule(AntDirection(num_threads=1), tasks, episodes)
    train(learner, data, iterations + 1, LambdaCallback(on_train_batch_end=note))
    whole = np.diff(rows["end"])
    return {
        "tasks": tasks,
        "sampling": median(rows["time_sampling"][1:]),
        "sampling_spread": stdev(rows["time_sampling"][1:]) / mean(rows["time_sampling"][1:]),
        "update": median(rows["time_update"][1:]),
        "iteration": float(np.median(whole)),
        "bytes": 8 * parameters_to_vector(learner.policy.parameters()).numel(),
    }


def measure_reductions(message: int, repetitions: int = 200) -> dict[str, float]:
    """Median seconds of a reduction between two gloo processes on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    command = [sys.executable, __file__, "--reduce", str(message), "--iterations", str(repetitions)]
    processes = [
        subprocess.Popen(command, env=common | {"RANK": str(r)}, stdout=subprocess.PIPE) for r in (0, 1)
    ]
    outputs = [process.communicate()[0] for process in processes]
    return json.loads(outputs[0])


def reduce_repeatedly(message: int, repetitions: int) -> dict[str, float]:
    """What each of the two processes does."""
    distributed.init_process_group("gloo")
    seconds = {}
    for name, size in {"vector": message // 8, "number": 1}.items():
        x, times = torch.ones(size, dtype=torch.float64), []
        for _ in range(repetitions):
            start = time.perf_counter()
            distributed.all_reduce(x)
            times.append(time.perf_counter() - start)
            x /= 2
        seconds[name] = median(times)
    distributed.destroy_process_group()
    return seconds


def fit(rows: list[dict[str, Any]]) -> Pieces:
    """The model's constants by least squares of relative errors."""

    def line(name: str) -> tuple[float, float]:
        n = np.array([r["tasks"] for r in rows], float)
        y = np.array([r[name] for r in rows])
        design = np.stack([1 / y, n / y], 1)
        a, b = np.linalg.lstsq(design, np.ones_like(y), rcond=None)[0]
        return max(0.0, float(a)), float(b)

    other = median(r["iteration"] - r["sampling"] - r["update"] for r in rows)
    spread = median(r["sampling_spread"] for r in rows)
    return Pieces(line("sampling"), spread, line("update"), max(0.0, other), rows[0]["bytes"])


def iteration(pieces: Pieces, tasks: int, size: int, network: tuple[float, float]) -> dict[str, float]:
    """Seconds of the parts of an iteration of `tasks` tasks a process on `size` processes."""
    latency, bandwidth = network
    sampling = pieces.sampling[0] + pieces.sampling[1] * tasks
    draws = np.random.default_rng(0).normal(1, pieces.spread, (2000, size))
    slowest = sampling * float(draws.max(1).mean())
    rounds = 2 * (size - 1)
    vector = rounds * latency + (rounds / size * pieces.message / bandwidth if size > 1 else 0.0)
    reductions = (2 + CG) * vector + (TRIALS + NUMBERS) * rounds * latency
    update = pieces.update[0] + pieces.update[1] * tasks
    return {
        "sampling": sampling,
        "waiting": slowest - sampling,
        "update": update,
        "reductions": reductions,
        "other": pieces.other,
        "iteration": slowest + update + reductions + pieces.other,
    }


def report(measured: dict[str, Any]) -> None:
    """Print what was measured and what follows from it."""
    pieces = fit(measured["rows"])
    print(
        f"{measured['algorithm']} on Ant, {measured['episodes']} episodes of 200 steps a task, "
        "one core a process"
    )
    print(f"{'tasks':>6}{'sampling s':>12}{'update s':>10}{'iteration s':>13}")
    for r in measured["rows"]:
        print(f"{r['tasks']:6}{r['sampling']:12.2f}{r['update']:10.2f}{r['iteration']:13.2f}")
    seconds = measured["reductions"]
    print(f"a vector is {pieces.message:,} bytes; a reduction between two processes here takes", end=" ")
    print(f"{1e6 * seconds['vector']:.0f} us, one of a single number {1e6 * seconds['number']:.0f} us")
    for network, speed in NETWORKS.items():
        for title, tasks_of in {
            "40 tasks in all": lambda w: 40 / w,
            "20 tasks a process": lambda w: 20,
        }.items():
            print(f"\n{network}, {title}")
            print(
                f"{'processes':>10}{'iteration s':>13}{'speed-up':>10}{'efficiency':>12}{'reductions s':>14}"
            )
            for size in (1, 2, 4, 8, 16, 20, 40, 64, 128, 256):
                tasks = tasks_of(size)
                if tasks < 1:
                    continue
                parts = iteration(pieces, tasks, size, speed)
                one = iteration(pieces, tasks * size, 1, speed)["iteration"]
                gain = one / parts["iteration"]
                shown = f"{size:10}{parts['iteration']:13.2f}{gain:10.1f}{gain / size:12.0%}"
                print(f"{shown}{parts['reductions']:14.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--algorithm", choices=["FOMAML", "MAML"], default="FOMAML")
    parser.add_argument("--iterations", type=int, default=8, help="timed, after one to warm up")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--output", type=Path, help="keep what was measured")
    parser.add_argument("--redraw", type=Path, help="the model alone, from a file of --output")
    parser.add_argument("--reduce", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reduce:
        print(json.dumps(reduce_repeatedly(args.reduce, args.iterations)))
        return
    if args.redraw:
        report(json.loads(args.redraw.read_text()))
        return
    args.threads, args.matmul_precision = 1, "highest"
    set_up(args.threads, args.matmul_precision)
    make = {"FOMAML": FOMAML, "MAML": MAML}[args.algorithm]
    rows = [measure(make, n, args.episodes, args.iterations) for n in TASKS]
    measured = {"algorithm": args.algorithm, "episodes": args.episodes, "rows": rows}
    measured["reductions"] = measure_reductions(rows[0]["bytes"])
    if args.output:
        args.output.write_text(json.dumps(measured, indent=1) + "\n")
    report(measured)


if __name__ == "__main__":
    main()
