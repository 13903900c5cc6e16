"""W&B's own client against a server on the loopback: real `wandb sweep`, `wandb agent` and train.py."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb_server import Server, serve

from meta_rl.run.record import read_starts

ROOT = Path(__file__).parents[2]
# W&B's own command line, but that an agent asks for its next run after half a second, not after five.
IMPATIENT = """
from wandb.cli.cli import cli
from wandb.wandb_agent import Agent
Agent.POLL_INTERVAL = 0.5
cli()
"""
TINY = {
    "checkpoint_every": 1,
    "model": {
        "class_path": "meta_rl.algorithms.MAML",
        "init_args": {"inner_lr": 0.1, "policy": {"hidden_sizes": [4]}},
    },
    "data": {
        "env": {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5}},
        "meta_batch_size": 2,
        "fast_batch_size": 2,
    },
    "trainer": {"max_steps": 4},
}


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def wandb(server: Server, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """W&B's command line in a folder with tiny.yaml, logged in at the stand-in; its runs stay offline."""
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {
        "WANDB_BASE_URL": server.url,
        "WANDB_API_KEY": "0123456789" * 4,
        "WANDB_MODE": "offline",
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}:{Path(__file__).parent}",
        "OMP_NUM_THREADS": "1",
    }

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", IMPATIENT, *args]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
        )

    return call


def create(wandb: Callable[..., Any], folder: Path, parameters: dict[str, Any]) -> str:
    """Make a sweep of real train.py runs, which get their point in both of W&B's spellings; its path."""
    words = ["${env}", "${interpreter}", "${program}", "--config=tiny.yaml", "--ckpt_path=auto"]
    sweep = {
        "program": str(ROOT / "train.py"),
        "method": "grid",
        "project": "meta_rl",
        "metric": {"name": "return_post", "goal": "maximize"},
        "parameters": parameters,
        "command": [*words, "${args}", "${args_no_hyphens}"],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    done = wandb("sweep", "sweep.yaml")
    found = re.search(r"wandb agent (\S+)", done.stdout + done.stderr)
    assert found, done.stderr
    return found[1]


def check_training(run: Path, algorithm: str) -> dict[str, str]:
    """Whether a run has the settings of its point, and all of its steps; its last row of metrics."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["seed_everything"] == 7
    assert config["model"]["class_path"] == algorithm
    assert config["model"]["init_args"]["inner_lr"] == [0.5, 0.25]
    assert config["model"]["init_args"]["policy"]["hidden_sizes"] == [4]
    rows = metrics(run)
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    return rows[-1]


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_agents_train_every_point_although_the_first_is_killed(
    server: Server, wandb: Callable[..., Any], tmp_path: Path
) -> None:
    algorithms = ["meta_rl.algorithms.MAML", "killing.KillsItsAgent"]
    parameters = {
        "seed_everything": {"value": 7},
        "model.inner_lr": {"value": [0.5, 0.25]},
        "model.class_path": {"values": algorithms},
    }
    agent = create(wandb, tmp_path, parameters)
    assert wandb("agent", agent).returncode == -9
    whole, killed = (tmp_path / "runs" / f"tiny-run{i}" for i in (0, 1))
    assert len(metrics(killed)) == 2
    assert [start["outcome"] for start in read_starts(killed / "run.json")] == [None]

    done = wandb("agent", agent)
    assert done.returncode == 0, done.stderr
    (sweep,) = server.sweeps.values()
    assert (sweep.given, sweep.waiting) == (["run0", "run1", "run1"], [])
    last, _ = (check_training(run, name) for run, name in zip((whole, killed), algorithms, strict=True))
    second = read_starts(killed / "run.json")[1]
    assert (second["first_step"], second["last_step"], second["outcome"]) == (2, 4, "done")

    (record,) = whole.glob("wandb/offline-run-*/*.wandb")
    assert record.name == "run-run0.wandb"
    logged = json.loads(wandb("leet", "inspect", "--summary", "--json", str(record)).stdout)
    assert (logged["run_id"], logged["state"]) == ("run0", "finished")
    assert logged["config"]["model.class_path"] == algorithms[0]
    assert logged["config"]["model.init_args.inner_lr"] == [0.5, 0.25]
    assert logged["summary"]["return_post"] == pytest.approx(float(last["return_post"]))
    assert logged["summary"]["env_steps"] == float(last["env_steps"])
