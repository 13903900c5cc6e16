"""The processes of a distributed run: starting those of this machine, and saying which of them is lost."""

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

from meta_rl.errors import UserError

SECONDS_TO_NOTICE = 20  # that another process is lost; a collective operation may never return
SECONDS_TO_END = 10  # for the other processes, after an error
PARENT = os.getppid()


def check(trainer: Trainer, tasks: int) -> None:
    """Raise a UserError unless the trainer's processes can share out so many tasks evenly."""
    if trainer.world_size == 1:
        return
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or strategy._start_method != "popen":
        name = type(strategy).__name__
        raise UserError(f"trainer.strategy: several processes share the tasks by 'ddp' alone, got {name}")
    if tasks % trainer.world_size:
        raise UserError(
            f"data.meta_batch_size: {tasks} tasks cannot be shared out evenly to {trainer.world_size} "
            "processes; choose a multiple, or other trainer.devices"
        )


class Processes:
    """A context in which the other processes of this machine run, as copies of this one's command.

    Where something else has started them (torchrun, Slurm), or where there is only one, it does nothing.

    Args:
        trainer: Whose processes.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.children: dict[int, subprocess.Popen[bytes]] = {}  # by rank
        self._done = threading.Event()

    def __enter__(self) -> Self:
        environment = _environment(self.trainer)
        ours = isinstance(environment, LightningEnvironment)
        if self._several() and ours and not environment.creates_processes_externally:
            self._start(environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        for child in self.children.values():
            try:
                child.wait(None if kind is None else SECONDS_TO_END)  # what it says is of interest, too
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def lost(self) -> str | None:
        """Which process has ended, if one has: asked after a collective operation has failed."""
        if not self._several():
            return None
        if os.getppid() != PARENT:
            return f"rank {self.trainer.global_rank - self.trainer.local_rank} of {self.trainer.world_size}"
        deadline = time.monotonic() + SECONDS_TO_NOTICE / 2
        while self.children and time.monotonic() < deadline:
            ended = self._ended()
            if ended:
                return ended
            time.sleep(0.1)
        return None if self.children else "another rank; what has started the processes tells which"

    def _several(self) -> bool:
        return self.trainer.world_size > 1

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
            self.children[first + local] = child
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """End this process if it does not notice by itself that another one is lost."""
        while not self._done.wait(0.5):
            ended = self._ended()
            if ended and not self._done.wait(SECONDS_TO_NOTICE):
                print(f"error: lost {ended}; all others are ended", file=sys.stderr, flush=True)
                for child in self.children.values():
                    child.kill()
                os._exit(1)

    def _ended(self) -> str | None:
        """The first child that has failed, such as `rank 1 of 2 (process 7), which ended by SIGKILL`."""
        for rank, child in self.children.items():
            code = child.poll()
            if code:
                how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
                return f"rank {rank} of {self.trainer.world_size} (process {child.pid}), which ended {how}"
        return None


def share_cores(trainer: Trainer) -> None:
    """Leave every process of this machine its share of the cores, unless OMP_NUM_THREADS says otherwise.

    Slurm binds processes to their cores by itself, and torchrun sets both variables.
    """
    here = trainer.num_devices
    if here == 1 or not isinstance(_environment(trainer), LightningEnvironment):
        return
    os.environ["LOCAL_WORLD_SIZE"] = str(here)
    if "OMP_NUM_THREADS" not in os.environ:
        threads = max(1, torch.get_num_threads() // here)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


def _environment(trainer: Trainer) -> ClusterEnvironment | None:
    """What tells the trainer of the other processes."""
    return trainer._accelerator_connector.cluster_environment
