"""W&B's server is away, slow or refuses: training goes on, and what is not uploaded stays on disk."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from meta_rl.run import tracking

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "stress"))
from wandb_stand_in import StandIn, serve  # noqa: E402

RUN = "UpsertBucket"  # the query that creates a run
# train.py, but impatient.
PROGRAM = """
import sys
from meta_rl.run.command import main
from meta_rl.run import tracking
tracking.SECONDS_TO_CONNECT = tracking.SECONDS_TO_FINISH = 1
sys.exit(main())
"""
OFFLINE = "W&B stays offline, `wandb sync` uploads later: "
CASES = {  # the server, and what is said on stderr
    "nothing listens": (None, [OFFLINE]),
    "refuses the login": (StandIn("401"), [OFFLINE]),
    "never answers for a run": (StandIn("silent", until="Viewer"), [OFFLINE]),
    "silent during the run": (StandIn("silent", until=RUN), ["W&B has not got everything (Timed out"]),
    "refuses during the run": (StandIn("403", until=RUN), []),
}

Train = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """A tiny run of a user with a key, in a process of its own."""
    config = {
        "model": {"class_path": "meta_rl.algorithms.FOMAML", "init_args": {"policy": {"hidden_sizes": [4]}}},
        "data": {
            "env": {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5}},
            "meta_batch_size": 2,
            "fast_batch_size": 2,
        },
        "trainer": {"max_steps": 3},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}

    def start(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
        own = {"HOME": str(tmp_path), "WANDB_BASE_URL": url, "WANDB_API_KEY": "0123456789" * 4}
        own |= {"WANDB_HTTP_TIMEOUT": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", PROGRAM, "--config=tiny.yaml"]
        environment = kept | own | variables
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
        )

    return start


@pytest.mark.parametrize(("server", "said"), CASES.values(), ids=CASES.keys())
def test_training_goes_on_and_leaves_what_can_be_uploaded(
    train: Train, tmp_path: Path, server: StandIn | None, said: list[str]
) -> None:
    with serve(server) if server else nullcontext() as running:
        done = train(running.url if running else "http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert "done: 3 iterations" in done.stdout
    lines = done.stderr.splitlines()
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True)), done.stderr
    sync = re.search(r"wandb sync --include-online (runs/\S+)$", done.stderr.strip())
    folders = [tmp_path / sync[1]] if sync else (tmp_path / "runs/tiny/wandb").glob("*run-*")
    sizes = [record.stat().st_size for folder in folders for record in folder.glob("run-*.wandb")]
    assert max(sizes) > 1000


def test_what_stayed_on_disk_is_uploaded_later(train: Train, tmp_path: Path) -> None:
    with serve(StandIn("silent", until=RUN)) as server:
        folder = train(server.url).stderr.split()[-1]
        assert server.rows == set()
    with serve(StandIn()) as server:
        own = {"HOME": str(tmp_path), "WANDB_BASE_URL": server.url, "WANDB_API_KEY": "0123456789" * 4}
        command = [sys.executable, "-m", "wandb", "sync", "--include-online", folder]
        subprocess.run(command, cwd=tmp_path, env=os.environ | own | {"WANDB_MODE": "online"}, timeout=200)
        assert server.rows == {0, 1, 2}


def test_online_is_refused_where_no_run_can_be_created(train: Train, tmp_path: Path) -> None:
    with serve(StandIn("403", until="Viewer")) as server:
        done = train(server.url, WANDB_MODE="online")
    assert done.returncode == 2
    assert re.fullmatch(r"error: W&B: .*train without it by WANDB_MODE=offline\n", done.stderr)
    assert not (tmp_path / "runs/tiny").exists()


def test_metrics_go_on_when_wandbs_process_has_died(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    class Dead:
        def log(self, row: dict[str, Any]) -> None:
            calls.append(row)
            raise ConnectionResetError("Connection lost")

    logger = tracking.PatientLogger(experiment=Dead())  # type: ignore[arg-type]
    logger.log_metrics({"kl": 0.1}, 1)
    logger.log_metrics({"kl": 0.1}, 2)
    assert len(calls) == 1
    error = capsys.readouterr().err
    assert error == "W&B has failed, training goes on, metrics.csv has all: Connection lost\n"
