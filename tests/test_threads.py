"""Threads: work is shared out in order, and the same seed gives the same bits on any number of them."""

import os
import threading
from typing import Any

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from helpers import fit
from meta_rl import threads
from meta_rl.algorithms import ESMAML, FOMAML, MAML, MetaLearner, Oracle, PolicyConfig, Pretrained, Reptile
from meta_rl.data import RolloutDataModule
from meta_rl.envs import AntDirection, BatchedEnv, PointMass

STATISTICS = PolicyConfig([8], normalize_observations=True)
CASES: dict[str, tuple[type[MetaLearner], dict[str, Any], type[BatchedEnv]]] = {
    "MAML": (MAML, {"policy": PolicyConfig([8])}, PointMass),
    "MAML, statistics, two steps": (MAML, {"policy": STATISTICS, "num_inner_steps": 2}, PointMass),
    "FOMAML": (FOMAML, {"policy": PolicyConfig([8])}, PointMass),
    "FOMAML on Ant, a share of the states": (
        FOMAML,
        {"policy": STATISTICS, "fisher_fraction": 0.5},
        AntDirection,
    ),
    "Reptile": (Reptile, {"policy": PolicyConfig([8])}, PointMass),
    "ES-MAML": (ESMAML, {"policy": STATISTICS, "perturbations": 2}, PointMass),
    "ES-MAML by ES": (
        ESMAML,
        {"policy": PolicyConfig([8]), "perturbations": 2, "adaptation": "es"},
        PointMass,
    ),
    "Pretrained": (Pretrained, {"policy": PolicyConfig([8])}, PointMass),
    "Pretrained, statistics": (Pretrained, {"policy": STATISTICS}, PointMass),
    "Oracle on Ant": (Oracle, {"policy": STATISTICS}, AntDirection),
}


def trained(number: int, case: str, tasks: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Parameters and statistics after two iterations on so many threads, and the log of the second."""
    make, arguments, env = CASES[case]
    threads.use(number)
    learner = make(**arguments)
    trainer = fit(learner, RolloutDataModule(env(horizon=10), tasks, 4 if "by ES" in case else 3), 2)
    clock = ("time", "memory", "env_steps_per_s")
    logged = {name: float(x) for name, x in trainer.logged_metrics.items() if not name.startswith(clock)}
    statistics = [x for x in learner.policy.buffers() if x.is_floating_point()]
    state = [x.double() for x in (*learner.policy.parameters(), *statistics)]
    return parameters_to_vector(state).detach(), logged


@pytest.mark.parametrize("tasks", [8, 40])
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_threads_gives_the_same_bits(case: str, tasks: int) -> None:
    theta, logged = trained(1, case, tasks)
    for number in (2, 3, 4):
        other, numbers = trained(number, case, tasks)
        assert other.equal(theta)
        assert numbers == logged


def test_results_come_in_the_order_of_the_items_from_several_threads() -> None:
    threads.use(3)
    barrier = threading.Barrier(3)

    def together(i: int) -> tuple[int, int]:
        barrier.wait(10)
        return i * i, threading.get_ident()

    squares, where = zip(*threads.each(together, range(6)), strict=True)
    assert squares == (0, 1, 4, 9, 16, 25)
    assert len(set(where)) == 3


def test_workers_have_the_callers_grad_mode_and_one_thread_of_torch() -> None:
    threads.use(2)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            assert threads.each(lambda _: torch.is_grad_enabled(), range(4)) == [enabled] * 4
    assert threads.each(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
    assert torch.get_num_threads() == 1


def test_the_first_failure_is_raised_after_all_have_ended() -> None:
    threads.use(2)
    ended = []

    def fail(i: int) -> None:
        ended.append(i)
        if i % 2:
            raise ValueError(i)

    with pytest.raises(ValueError, match="1"):
        threads.each(fail, range(4))
    assert sorted(ended) == [0, 1, 2, 3]


def test_work_inside_of_work_stays_on_its_thread() -> None:
    threads.use(2)

    def inner(_: int) -> list[int]:
        return [threading.get_ident(), *threads.each(lambda _: threading.get_ident(), range(3))]

    assert all(len(set(where)) == 1 for where in threads.each(inner, range(4)))


def test_a_forked_process_starts_threads_of_its_own() -> None:
    threads.use(2)
    assert threads.each(lambda i: i, [1, 2]) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(threads.each(lambda i: i, [3, 4]) != [3, 4])
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("given", "expected"), [("3", 3), ("", threads.available_cores()), ("x", threads.available_cores())]
)
def test_how_many(monkeypatch: pytest.MonkeyPatch, given: str, expected: int) -> None:
    monkeypatch.setattr(threads._Workers, "number", None)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads.number() == expected


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 5})
    assert threads.available_cores() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert threads.available_cores() == 1
