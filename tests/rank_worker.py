"""What the ranks of the tests do: train every algorithm for a little, and count what they send.

`python rank_worker.py FOLDER` trains with 2 ranks, then with 4, and writes what each of them has found to
FOLDER/RANK-of-SIZE.pt. They are forked from one process, which has imported everything before.
"""

import logging
import multiprocessing
import os
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed
from torch.nn.utils import parameters_to_vector

from helpers import fit
from meta_rl import threads
from meta_rl.algorithms import (
    ESMAML,
    FOMAML,
    MAML,
    MetaLearner,
    MetaSGD,
    Oracle,
    PolicyConfig,
    Pretrained,
    Reptile,
)
from meta_rl.data import RolloutDataModule
from meta_rl.envs import AntDirection, BatchedEnv, GymnasiumEnv, PointMass

PENDULUM = {"id": "Pendulum-v1", "task_parameters": {"g": (5, 15)}, "horizon": 10}
STATISTICS = PolicyConfig(normalize_observations=True)
CASES: dict[str, tuple[type[MetaLearner], dict[str, Any], type[BatchedEnv], dict[str, Any]]] = {
    "MAML": (MAML, {}, PointMass, {"horizon": 10}),
    "MAML, 2 inner steps": (MAML, {"num_inner_steps": 2, "fisher_fraction": 0.5}, PointMass, {"horizon": 10}),
    "MAML, Adam": (MAML, {"outer_optimizer": "adam"}, PointMass, {"horizon": 10}),
    "MAML, PPO": (MAML, {"outer_optimizer": "ppo", "inner_loss": "ratio"}, PointMass, {"horizon": 10}),
    "Meta-SGD": (MetaSGD, {}, PointMass, {"horizon": 10}),
    "FOMAML": (FOMAML, {}, PointMass, {"horizon": 10}),
    "FOMAML, statistics": (FOMAML, {"policy": STATISTICS}, PointMass, {"horizon": 10}),
    "Reptile": (Reptile, {}, PointMass, {"horizon": 10}),
    "ES-MAML, statistics": (ESMAML, {"perturbations": 4, "policy": STATISTICS}, PointMass, {"horizon": 10}),
    "ES-MAML by ES": (
        ESMAML,
        {"perturbations": 2, "adaptation": "es", "num_inner_steps": 2},
        PointMass,
        {"horizon": 10},
    ),
    "Pretrained": (Pretrained, {}, PointMass, {"horizon": 10}),
    "Oracle": (Oracle, {}, PointMass, {"horizon": 10}),
    "Oracle, not pooled, statistics": (
        Oracle,
        {"pooled": False, "policy": STATISTICS},
        PointMass,
        {"horizon": 10},
    ),
    "FOMAML on Ant": (FOMAML, {"fisher_fraction": 0.5}, AntDirection, {"horizon": 20, "num_threads": 1}),
    "Oracle on Ant": (Oracle, {}, AntDirection, {"horizon": 20, "num_threads": 1}),
    "Reptile, Adam": (Reptile, {"outer_optimizer": "adam"}, PointMass, {"horizon": 10}),
    "FOMAML on Pendulum": (FOMAML, {}, GymnasiumEnv, PENDULUM),
    "Pretrained, bootstrap": (Pretrained, {}, PointMass, {"horizon": 10}),
}
SIZES = {  # ranks that train together, and what
    2: tuple(CASES),
    4: (
        "MAML",
        "FOMAML, statistics",
        "Reptile",
        "ES-MAML by ES",
        "Oracle, not pooled, statistics",
        "FOMAML on Ant",
    ),
}
MEASURED = ("time", "memory", "env_steps_per_s")  # what no two runs have in common


def train(case: str, precision: str, steps: int, size: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Parameters and statistics after `steps` iterations, and what was logged in the last."""
    make, arguments, env, env_arguments = CASES[case]
    together: dict[str, Any] = {"devices": 1}
    if size > 1:
        strategy = DDPStrategy(cluster_environment=LightningEnvironment(), process_group_backend="gloo")
        together = {"devices": size, "strategy": strategy}
    learner = make(**arguments)
    episodes = 4 if "by ES" in case else 3
    data = RolloutDataModule(env(**env_arguments), 8, episodes, bootstrap_horizon="bootstrap" in case)
    trainer = fit(learner, data, steps, precision=precision, **together)
    logged = {name: float(x) for name, x in trainer.logged_metrics.items() if not name.startswith(MEASURED)}
    statistics = [x for x in learner.policy.buffers() if x.is_floating_point()]
    state = [x.double() for x in (*learner.policy.parameters(), *statistics)]
    return parameters_to_vector(state).detach(), logged


def train_all(size: int, cases: Iterable[str]) -> dict[str, Any]:
    """By case: (parameters, metrics) in float32 after two iterations, and in float64 after one.

    Statistics of observations count from the second iteration on.
    """
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    steps = {case: 2 if "statistics" in case else 1 for case in cases}
    return {
        case: (train(case, "32-true", 2, size), train(case, "64-true", n, size)) for case, n in steps.items()
    }


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Bytes that this rank has handed to collective operations meanwhile, by operation."""
    sent: dict[str, int] = {"all_reduce": 0, "all_gather": 0}
    originals = {name: getattr(distributed, name) for name in sent}

    def all_reduce(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        sent["all_reduce"] += x.nbytes
        return originals["all_reduce"](x, *args, **kwargs)

    def all_gather(parts: list[torch.Tensor], x: torch.Tensor, **kwargs: Any) -> Any:
        sent["all_gather"] += x.nbytes
        return originals["all_gather"](parts, x, **kwargs)

    distributed.all_reduce, distributed.all_gather = all_reduce, all_gather  # type: ignore[assignment]
    try:
        yield sent
    finally:
        for name, original in originals.items():
            setattr(distributed, name, original)


def rank(index: int, size: int, port: int, file: str) -> None:
    """Train as one of `size` ranks on this machine."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    os.environ.update(common, WORLD_SIZE=str(size), LOCAL_RANK=str(index))
    threads.use(1)
    results = train_all(size, SIZES[size])
    with counted() as sent:
        train("FOMAML", "32-true", 1, size)
    torch.save({"results": results, "sent": sent}, file)


def main(folder: str) -> int:
    """Returns 0 if every rank has come to its end."""
    fork = multiprocessing.get_context("fork")
    codes = []
    for size in SIZES:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        arguments = [(i, size, port, f"{folder}/{i}-of-{size}.pt") for i in range(size)]
        processes = [fork.Process(target=rank, args=args, daemon=True) for args in arguments]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            codes.append(process.exitcode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
