"""The processes of a run: starting those of this machine, and saying which of them is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed

from meta_rl.data import RolloutDataModule
from meta_rl.errors import UserError, raised_in

SECONDS_TO_NOTICE = 20  # that another process is lost; a collective operation may never return
SECONDS_TO_END = 10  # for the other processes, after an error
PARENT = os.getppid()


def check(trainer: Trainer, data: RolloutDataModule) -> None:
    """Raise a UserError unless the trainer's processes can share out the tasks evenly."""
    size, strategy = trainer.world_size, trainer.strategy
    if size == 1:
        return
    if not isinstance(strategy, DDPStrategy) or strategy._start_method != "popen":
        name = type(strategy).__name__
        raise UserError(f"trainer.strategy: several processes share the tasks by 'ddp' alone, got {name}")
    if data.meta_batch_size % size:
        raise UserError(
            f"data.meta_batch_size: {data.meta_batch_size} tasks cannot be shared out evenly to {size} "
            "processes; choose a multiple, or other trainer.devices"
        )
    if not data.env.shareable:
        raise UserError(
            "data.env: its tasks share random numbers, so that only one process can simulate them"
        )


class Processes:
    """A context in which the other processes of this machine run, as copies of this one's command.

    Where something else has started them (torchrun, Slurm), or where there is only one, none is started.

    Args:
        trainer: Whose processes.

    Attributes:
        lost: The process that has ended before its time, such as `rank 1 of 2 (process 7), which ended by
            SIGKILL`, or None. Known after the context.
        code: Its exit code, negative for a signal.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.lost: str | None = None
        self.code = 0
        self._children: dict[int, subprocess.Popen[bytes]] = {}  # by rank
        self._done = threading.Event()

    def __enter__(self) -> Self:
        environment = cluster_environment(self.trainer)
        if self.trainer.world_size > 1 and isinstance(environment, LightningEnvironment):
            if not environment.creates_processes_externally:
                self._start(environment)
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if isinstance(error, Exception) and _of_a_message(error):
            self._name_the_lost()
        deadline = time.monotonic() + SECONDS_TO_END
        for child in self._children.values():
            try:  # what it says is of interest, too
                child.wait(None if kind is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _start(self, environment: LightningEnvironment) -> None:
        """As Lightning's launcher would, but that one kills all processes at an error, without a word."""
        here = self.trainer.num_devices
        with socket.create_server(("127.0.0.1", 0)) as server:
            os.environ.setdefault("MASTER_PORT", str(server.getsockname()[1]))
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ |= {"WORLD_SIZE": str(self.trainer.world_size), "LOCAL_RANK": "0"}
        os.environ["NODE_RANK"] = str(environment.node_rank())
        first = environment.node_rank() * here
        command = [sys.executable, str(Path(sys.argv[0]).absolute()), *sys.argv[1:]]
        for local in range(1, here):
            child = subprocess.Popen(command, env=os.environ | {"LOCAL_RANK": str(local)})
            self._children[first + local] = child

    def _watch(self) -> None:
        """End this process if it does not notice by itself that another one is lost."""
        while not self._done.wait(0.5):
            if self._missing() and not self._done.wait(SECONDS_TO_NOTICE):
                self._name_the_lost()
                print(f"error: lost {self.lost}; resume with --ckpt_path last", file=sys.stderr, flush=True)
                for child in self._children.values():
                    child.kill()
                os._exit(1)

    def _name_the_lost(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_NOTICE / 2
        while self._children and not self._missing() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.lost = self._missing() or "another rank; what has started the processes tells which"

    def _missing(self) -> str | None:
        """The first process of this machine that has failed, among those that this one knows of."""
        size = self.trainer.world_size
        if os.getppid() != PARENT and self.trainer.local_rank:
            return f"rank {self.trainer.global_rank - self.trainer.local_rank} of {size}"
        for rank, child in self._children.items():
            code = child.poll()
            if code:
                self.code = code
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return f"rank {rank} of {size} (process {child.pid}), which ended {how}"
        return None


def _of_a_message(error: Exception) -> bool:
    """Whether a message between processes has failed, rather than this one's own work."""
    between = ("torch.distributed", "torch.nn.parallel")
    return isinstance(error, distributed.DistError) or raised_in(error).startswith(between)


def share_cores(trainer: Trainer) -> None:
    """Leave every process of this machine its share of the cores, unless OMP_NUM_THREADS says otherwise.

    Slurm binds processes to their cores by itself, and torchrun sets both variables.
    """
    here = trainer.num_devices
    if here == 1 or not isinstance(cluster_environment(trainer), LightningEnvironment):
        return
    os.environ["LOCAL_WORLD_SIZE"] = str(here)
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // here)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


def cluster_environment(trainer: Trainer) -> ClusterEnvironment | None:
    """What tells the trainer of the other processes."""
    return trainer._accelerator_connector.cluster_environment
