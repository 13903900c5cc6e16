"""Variables of torchrun and Slurm: which of them make a process one of several ranks."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only

from meta_rl.run.launchers import Single, Slurm, environment

JOB = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "1"}
STEP = {**JOB, "SLURM_STEP_ID": "0", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "7", "WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1"}
HAND = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "NODE_RANK": "1"}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Sets the variables of a launcher, and the rank that Lightning reads from them when it is imported."""

    def start(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(rank_zero_only, "rank", 1)

    return start


@pytest.mark.parametrize(
    "variables", [{"SLURM_PROCID": "1"}, HAND, JOB, STEP], ids=["id", "hand", "job", "step"]
)
def test_one_process_that_is_no_rank_logs_as_any_other(
    lab: Any, started: Any, variables: dict[str, str]
) -> None:
    started(variables)
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "log"}}
    assert lab.train(trainer={"max_steps": 2, "logger": logger}) == 0
    (log,) = (lab.path / "log").rglob("metrics.csv")
    assert log.read_text().count("\n") == 3
    assert len(lab.metrics()) == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [(HAND, Single), (JOB, Single), (STEP, Slurm), (STEP | {"SLURM_NTASKS": "1"}, Single)],
)
def test_a_group_has_been_started_by_srun_or_torchrun(started: Any, variables: Any, expected: type) -> None:
    started(variables)
    group = environment()
    assert isinstance(group, expected)
    assert group.creates_processes_externally is (expected is Slurm)
    assert (group.local_rank(), group.node_rank()) == ((1, 0) if expected is Slurm else (0, 0))
    started(TORCHRUN)
    assert isinstance(environment(), TorchElasticEnvironment)


@pytest.mark.parametrize(("variables", "devices"), [(TORCHRUN, 1), (TORCHRUN, 2), (STEP, 2)])
def test_a_group_of_another_size_is_refused(started: Any, refused: Any, variables: Any, devices: int) -> None:
    started(variables)
    line = refused(f"--trainer.devices={devices}")
    assert line == (
        "trainer.devices: the launcher has started 4 processes, but "
        f"trainer.devices x trainer.num_nodes is {devices}; tell both the same"
    )


def test_a_port_that_is_taken_is_named(started: Any, refused: Any) -> None:
    with socket.create_server(("", 0)) as server:
        port = str(server.getsockname()[1])
        started(STEP | {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"})
        started({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
        line = refused("--trainer.devices=2")
    assert line == f"MASTER_PORT: port {port} is taken on this machine; set another one"
