"""What a rank of the tests does: train every algorithm for a little, and count what it sends.

LOCAL_RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=... python rank_worker.py FILE
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed
from torch.nn.utils import parameters_to_vector

from helpers import fit
from meta_rl.algorithms import FOMAML, MAML, MetaLearner, Oracle, PolicyConfig, Pretrained, Reptile
from meta_rl.data import RolloutDataModule
from meta_rl.envs import AntDirection, BatchedEnv, GymnasiumEnv, PointMass

PENDULUM = {"id": "Pendulum-v1", "task_parameters": {"g": (5, 15)}, "horizon": 10}
STATISTICS = PolicyConfig(normalize_observations=True)
CASES: dict[str, tuple[type[MetaLearner], dict[str, Any], type[BatchedEnv], dict[str, Any]]] = {
    "MAML": (MAML, {}, PointMass, {"horizon": 10}),
    "MAML, 2 inner steps": (MAML, {"num_inner_steps": 2, "fisher_fraction": 0.5}, PointMass, {"horizon": 10}),
    "MAML, Adam": (MAML, {"outer_optimizer": "adam"}, PointMass, {"horizon": 10}),
    "FOMAML": (FOMAML, {}, PointMass, {"horizon": 10}),
    "FOMAML, statistics": (FOMAML, {"policy": STATISTICS}, PointMass, {"horizon": 10}),
    "Reptile": (Reptile, {}, PointMass, {"horizon": 10}),
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
MEASURED = ("time", "memory", "env_steps_per_s")  # what no two runs have in common


def train(case: str, precision: str, steps: int, size: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Parameters and statistics after `steps` iterations, and what was logged in the last."""
    make, arguments, env, env_arguments = CASES[case]
    together: dict[str, Any] = {"devices": 1}
    if size > 1:
        strategy = DDPStrategy(cluster_environment=LightningEnvironment(), process_group_backend="gloo")
        together = {"devices": size, "strategy": strategy}
    learner = make(**arguments)
    data = RolloutDataModule(env(**env_arguments), 8, 3, bootstrap_horizon="bootstrap" in case)
    trainer = fit(learner, data, steps, precision=precision, **together)
    logged = {name: float(x) for name, x in trainer.logged_metrics.items() if not name.startswith(MEASURED)}
    statistics = [x for x in learner.policy.buffers() if x.is_floating_point()]
    state = [x.double() for x in (*learner.policy.parameters(), *statistics)]
    return parameters_to_vector(state).detach(), logged


def train_all(size: int) -> dict[str, Any]:
    """By case: (parameters, metrics) in float32 after two iterations, and in float64 after one.

    Statistics of observations count from the second iteration on.
    """
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    steps = {case: 2 if "statistics" in case else 1 for case in CASES}
    return {
        case: (train(case, "32-true", 2, size), train(case, "64-true", steps[case], size)) for case in CASES
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


def main() -> None:
    torch.set_num_threads(1)
    size = int(os.environ["WORLD_SIZE"])
    results = train_all(size)
    with counted() as sent:
        train("FOMAML", "32-true", 1, size)
    torch.save({"results": results, "sent": sent}, sys.argv[1])


if __name__ == "__main__":
    main()
