"""Who has started this process: as one of several ranks, or by itself.

A process is a rank if torchrun or srun has started a group and the trainer asks for one. Their variables
alone make none: every run of a job that packs many has a SLURM_PROCID, and a shell may have a RANK.
"""

import os
import signal

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer

from meta_rl.data import RolloutDataModule
from meta_rl.errors import UserError


class Slurm(SLURMEnvironment):
    """A task of srun, whichever way the job has asked for its tasks."""

    def __init__(self) -> None:  # not the base class's, which refuses --ntasks
        self.auto_requeue, self.requeue_signal = False, signal.SIGUSR1


class Single(LightningEnvironment):
    """A process that nobody has started as a rank; to the base class any with a LOCAL_RANK is one."""

    @property
    def creates_processes_externally(self) -> bool:
        return False

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return 0


def environment() -> ClusterEnvironment:
    """The launcher that has started a group with this process in it; `Single` if there is none."""
    if TorchElasticEnvironment.detect() and "RANK" in os.environ:
        return TorchElasticEnvironment()
    in_step = "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect()  # a job's script is in none
    return Slurm() if in_step and os.environ["SLURM_NTASKS"] != "1" else Single()


def check(trainer: Trainer, data: RolloutDataModule, strategy: object) -> None:
    """Raise a UserError unless the trainer's processes can share out the tasks evenly."""
    size, group = trainer.num_devices * trainer.num_nodes, environment()
    alone = isinstance(group, Single) or (size == 1 and isinstance(group, Slurm))  # the job packs many runs
    if not alone and group.world_size() != size:
        raise UserError(
            f"trainer.devices: the launcher has started {group.world_size()} processes, but "
            f"trainer.devices x trainer.num_nodes is {size}; tell both the same"
        )
    if size > 1 and strategy not in ("auto", "ddp"):
        raise UserError(f"trainer.strategy: several processes share the tasks by 'ddp' alone, got {strategy}")
    if data.meta_batch_size % size:
        raise UserError(
            f"data.meta_batch_size: {data.meta_batch_size} tasks cannot be shared out evenly to {size} "
            "processes; choose a multiple, or other trainer.devices"
        )
    if size > 1 and not data.env.shareable:
        raise UserError("data.env: its tasks share random numbers, so only one process can simulate them")
    if trainer.num_nodes > 1 and needs_launch(trainer):
        raise UserError("trainer.num_nodes: start the processes of several machines by torchrun or Slurm")


def needs_launch(trainer: Trainer) -> bool:
    """Whether there are to be several processes, and nothing has started them yet."""
    environment = getattr(trainer.strategy, "cluster_environment", None)  # strategies of one device have none
    return trainer.world_size > 1 and not (environment and environment.creates_processes_externally)
