"""sweeps/slurm.sh: what a task of the array starts, and that a signal reaches it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "sweeps/slurm.sh"
TASK = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", "SLURM_CPUS_PER_TASK": "16"}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with a python and a wandb that print how they were called."""
    for name in ("python", "wandb"):
        (tmp_path / name).write_text(
            f'#!/bin/sh\necho {name} "$@" requeue=$META_RL_REQUEUE\n'
            '[ -z "$WAIT" ] || { trap \'echo saved; exit 143\' TERM; echo ready; read _ < "$WAIT"; }\n'
            'exit "${CODE:-0}"\n'
        )
        (tmp_path / name).chmod(0o755)
    return tmp_path


def environment(tools: Path, **more: str) -> dict[str, str]:
    return {**os.environ, **TASK, "PYTHON": str(tools / "python"), **more}


@pytest.mark.parametrize(
    ("argument", "more", "expected"),
    [
        ("s/x.yaml", {}, "python sweep.py s/x.yaml --jobs 4 --part 3/8 requeue="),
        ("s/x.yaml", {"PARTS": "20"}, "python sweep.py s/x.yaml --jobs 4 --part 3/20 requeue="),
        ("me/meta_rl/abc", {}, "wandb agent --forward-signals me/meta_rl/abc requeue=1"),
    ],
)
def test_a_task_does_its_part(tools: Path, argument: str, more: dict[str, str], expected: str) -> None:
    call = ["bash", str(SCRIPT), argument]
    done = subprocess.run(call, env=environment(tools, **more), capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, expected)


def test_a_failure_is_passed_on(tools: Path) -> None:
    call = ["bash", str(SCRIPT), "x.yaml"]
    assert subprocess.run(call, env=environment(tools, CODE="7"), capture_output=True).returncode == 7


def test_a_signal_reaches_the_runs_and_their_end_is_waited_for(tools: Path) -> None:
    os.mkfifo(tools / "never")
    call = ["bash", str(SCRIPT), "x.yaml"]
    with subprocess.Popen(
        call, env=environment(tools, WAIT=str(tools / "never")), stdout=subprocess.PIPE, text=True
    ) as task:
        assert task.stdout
        assert task.stdout.readline().startswith("python sweep.py")
        assert task.stdout.readline() == "ready\n"
        task.send_signal(signal.SIGTERM)
        assert task.stdout.read() == "saved\n"
    assert task.returncode == 143
