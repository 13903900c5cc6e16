"""Runs of several processes: the same numbers, and nothing lost when one of them is."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
FRAGILE = {"class_path": "plugins.Fragile", "init_args": {"policy": {"hidden_sizes": [4]}}}
MANY = ("--trainer.devices=2", "--trainer.strategy=ddp")

Start = Callable[..., subprocess.CompletedProcess[str]]


def command(lab: Any, *args: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), f"--config={lab.path / 'fragile.yaml'}", *args]


def environment(**variables: str) -> dict[str, str]:
    plugins = f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
    return os.environ | {"PYTHONPATH": plugins, "OMP_NUM_THREADS": "1"} | variables


@pytest.fixture
def start(lab: Any) -> Start:
    """Runs train.py in two processes; it has ended when both have closed their output."""
    lab.write("fragile.yaml", model=FRAGILE, trainer={"max_steps": 4}, checkpoint_every=1)

    def run(fragile: str, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        call, variables = command(lab, *MANY, *args), environment(FRAGILE=fragile, **variables)
        return subprocess.run(call, cwd=lab.path, env=variables, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def alone(lab: Any, start: Start) -> None:
    """The same experiment in one process, never stopped."""
    assert lab.train("--name=alone", file="fragile.yaml", model=FRAGILE, trainer={"max_steps": 4}) == 0


@pytest.mark.usefixtures("alone")
def test_a_killed_rank_is_named_and_one_process_goes_on_from_there(lab: Any, start: Start) -> None:
    done = start("2 1 9")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.search(r"lost rank 1 of 2 \(process \d+\), which ended by SIGKILL; resume with: python", line)
    assert lab.checkpoint("fragile")["global_step"] == 2
    (first,) = json.loads((lab.runs / "fragile/run.json").read_text())["starts"]
    assert first["outcome"] == "failed"
    assert first["machine"]["device"] == "2 processes on cpu with 1 threads"
    assert lab.train("--ckpt_path=last", file="fragile.yaml", model=FRAGILE, trainer={"max_steps": 4}) == 0
    lab.assert_same("fragile", "alone")


@pytest.mark.usefixtures("alone")
def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(lab: Any, start: Start) -> None:
    done = start("1 1 15")
    assert (done.returncode, done.stderr) == (143, "")
    assert "stopped at iteration 2; resume with: python" in done.stdout
    done = start("-1 0 0", "--ckpt_path=last")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall("done: 4 iterations", done.stdout)) == 1
    lab.assert_same("fragile", "alone")


def test_without_the_first_rank_the_others_end_too(lab: Any, start: Start) -> None:
    done = start("2 0 9")
    assert done.returncode == -signal.SIGKILL
    assert done.stderr.startswith("error: lost rank 0 of 2")
    assert lab.checkpoint("fragile")["global_step"] == 2


@pytest.mark.parametrize("ranks", ["0", "1"])
def test_a_bug_of_one_rank_keeps_its_traceback(lab: Any, start: Start, ranks: str) -> None:
    lab.write("fragile.yaml", model=FRAGILE | {"class_path": "plugins.Buggy"}, checkpoint_every=1)
    done = start("-1 0 0", BUGGY=ranks)
    assert done.returncode == 1
    assert done.stderr.count("ValueError: a bug of the user") == 1
    assert ("lost rank 1 of 2" in done.stderr) == (ranks == "1")


def test_ranks_that_were_started_differently_are_refused(lab: Any, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "NODE_RANK": "0"}
    processes = [
        subprocess.Popen(
            command(lab, *MANY, f"--model.policy.hidden_sizes=[{4 + rank}]"),
            cwd=lab.path,
            env=environment(**common, LOCAL_RANK=str(rank)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert errors[0].startswith("error: rank 1 has another configuration or checkpoint than rank 0")
    assert errors[0].count("\n") == 1
    assert not (lab.runs / "fragile").exists()


def test_uneven_shares_are_refused(refused: Callable[..., str]) -> None:
    assert refused("--trainer.devices=3", "--trainer.accelerator=cpu") == (
        "data.meta_batch_size: 2 tasks cannot be shared out evenly to 3 processes; "
        "choose a multiple, or other trainer.devices"
    )


def test_other_strategies_are_refused(refused: Callable[..., str]) -> None:
    line = refused("--trainer.devices=2", "--trainer.strategy=ddp_spawn")
    assert line.startswith("trainer.strategy: several processes share the tasks by 'ddp' alone, got")


def test_slurms_notice_ends_the_iteration_and_requeues(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab.path / "scontrol").write_text(f"#!/bin/sh\necho $@ > {lab.path}/asked\n")
    (lab.path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{lab.path}:{os.environ['PATH']}")
    slurm = {"JOB_ID": "7", "NTASKS": "1", "JOB_NAME": "train", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("FRAGILE", f"1 0 {int(signal.SIGUSR1)}")
    assert lab.train("--ckpt_path=auto", model=FRAGILE) == 128 + signal.SIGUSR1
    assert (lab.path / "asked").read_text() == "requeue 7\n"
    assert lab.checkpoint()["global_step"] == 2
    assert not list((lab.runs / "tiny").glob("hpc*"))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("FRAGILE", f"3 0 {int(signal.SIGUSR1)}")
    assert lab.train("--ckpt_path=auto", "--trainer.max_steps=6", model=FRAGILE) == 128 + signal.SIGUSR1
    assert (lab.path / "asked").read_text() == "requeue 5_3\n"
    assert lab.train("--ckpt_path=auto", model=FRAGILE) == 0


def test_tasks_that_share_random_numbers_are_not_shared_out(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meta_rl.envs.PointMass.shareable", False)
    assert "only one process can simulate them" in refused("--trainer.devices=2")


def test_a_signal_during_the_agreement_of_the_ranks_is_not_lost(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(x: torch.Tensor) -> torch.Tensor:
        signal.raise_signal(signal.SIGTERM)
        return x

    monkeypatch.setattr("meta_rl.run.stopping.ranks", SimpleNamespace(highest=interrupted))
    assert lab.train() == 128 + signal.SIGTERM
    assert lab.checkpoint()["global_step"] == 2
