"""Runs of several processes: the same numbers, and nothing lost when one of them is."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
FRAGILE = {"class_path": "plugins.Fragile", "init_args": {"policy": {"hidden_sizes": [4]}}}
SIX = {"max_steps": 6}
END = ("--ckpt_path=last", "--trainer.devices=1")

Done = subprocess.CompletedProcess[str]
Start = Callable[..., Done]


@pytest.fixture
def start(lab: Any) -> Start:
    """Runs train.py in two processes; it has ended when all have closed their output."""
    lab.write("fragile.yaml", model=FRAGILE, trainer={**SIX, "devices": 2}, checkpoint_every=1)

    def run(fragile: str = "", *args: str) -> Done:
        plugins = f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"
        own = {"PYTHONPATH": plugins, "OMP_NUM_THREADS": "1", "FRAGILE": fragile}
        call = [sys.executable, str(ROOT / "train.py"), f"--config={lab.path / 'fragile.yaml'}", *args]
        return subprocess.run(
            call, cwd=lab.path, env=os.environ | own, capture_output=True, text=True, timeout=200
        )

    return run


def test_a_run_that_loses_its_processes_one_by_one_ends_as_one_that_does_not(lab: Any, start: Start) -> None:
    # Rank 1 is killed in the third iteration: named, and all ends.
    done = start("2 1 9")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert re.search(r"lost rank 1 of 2 \(process \d+\), which ended by SIGKILL; resume with: python", line)
    assert lab.checkpoint("fragile")["global_step"] == 2
    (first,) = json.loads((lab.runs / "fragile/run.json").read_text())["starts"]
    assert first["outcome"] == "failed"
    assert first["machine"]["device"] == "2 processes on cpu with 1 threads"

    # SIGTERM comes to the command itself in the fourth: a checkpoint of it, and no error.
    done = start("3 launcher 15", "--ckpt_path=last")
    assert (done.returncode, done.stderr) == (143, "")
    assert done.stdout.count("stopped at iteration 4; resume with: python") == 1

    # The command is killed in the fifth: no rank goes on without it.
    done = start("4 launcher 9", "--ckpt_path=last")
    assert done.returncode == -signal.SIGKILL
    assert lab.checkpoint("fragile")["global_step"] == 4
    wait_until_free(lab.runs / "fragile")

    # One process ends what two have begun.
    assert lab.train(*END, file="fragile.yaml", model=FRAGILE, trainer=SIX) == 0
    assert lab.train("--name=alone", file="fragile.yaml", model=FRAGILE, trainer=SIX) == 0
    lab.assert_same("fragile", "alone")


def wait_until_free(run: Path) -> None:
    """Until the processes that train in a directory are gone; killed ones take a moment."""
    from meta_rl.run.directory import is_held

    deadline = time.monotonic() + 60
    while is_held(run):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(lab: Any, start: Start) -> None:
    done = start("1 1 2")
    assert (done.returncode, done.stderr) == (130, "")
    assert "stopped at iteration 2; resume with: python" in done.stdout
    done = start("3 0 9", "--ckpt_path=last")  # the first rank is nothing special
    assert done.returncode == 1
    assert done.stderr.startswith("error: lost rank 0 of 2")
    assert lab.checkpoint("fragile")["global_step"] == 3


def test_a_bug_of_one_rank_keeps_its_traceback(
    lab: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FRAGILE | {"class_path": "plugins.Buggy"}
    lab.write("fragile.yaml", model=model, trainer={**SIX, "devices": 2}, checkpoint_every=1)
    monkeypatch.setenv("BUGGY", "1")
    done = start()
    assert done.returncode == 1
    assert done.stderr.count("ValueError: a bug of the user") == 1
    assert "lost rank 1 of 2" in done.stderr.splitlines()[-1]


def test_a_mistake_that_every_rank_meets_is_one_line(lab: Any, start: Start) -> None:
    done = start("", "--trainer.max_epochs=0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: trainer: nothing was trained")
    assert done.stderr.count("\n") == 1
    assert not (lab.runs / "fragile").exists()


def test_what_a_rank_has_told_counts_however_it_ends(lab: Any, start: Start) -> None:
    model = FRAGILE | {"class_path": "plugins.Shaky"}
    lab.write("fragile.yaml", model=model, trainer={**SIX, "devices": 2}, checkpoint_every=1)
    done = start("", "--trainer.max_epochs=0")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: trainer: nothing was trained")


RANK = """
import atexit, sys, threading, time
from torch import distributed
from meta_rl.run.program import end
distributed.init_process_group("gloo", init_method=sys.argv[1], rank=0, world_size=1)
threading.Thread(target=time.sleep, args=(600,)).start()
atexit.register(print, "a hook")
print("the last line")
end(3)
"""


def test_a_rank_does_not_wait_for_threads_when_it_ends(tmp_path: Path) -> None:
    call = [sys.executable, "-c", RANK, f"file://{tmp_path}/store"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "the last line\na hook\n"), done.stderr


def test_uneven_shares_are_refused(refused: Callable[..., str]) -> None:
    assert refused("--trainer.devices=3", "--trainer.accelerator=cpu") == (
        "data.meta_batch_size: 2 tasks cannot be shared out evenly to 3 processes; "
        "choose a multiple, or other trainer.devices"
    )


def test_other_strategies_are_refused(refused: Callable[..., str]) -> None:
    line = refused("--trainer.devices=2", "--trainer.strategy=ddp_spawn")
    assert line == "trainer.strategy: several processes share the tasks by 'ddp' alone, got ddp_spawn"


def test_several_machines_need_a_launcher(refused: Callable[..., str]) -> None:
    line = refused("--trainer.num_nodes=2", "--trainer.devices=1")
    assert line == "trainer.num_nodes: start the processes of several machines by torchrun or Slurm"


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
