"""Slurm's notice before it ends a job, and starting the job again.

Lightning's own handler saves at once, which may be in the middle of an iteration, and to a file of its own
that it then prefers to newer checkpoints. So the notice is taken here as any other signal to stop: after the
iteration, by `last.ckpt`. The settings are those of Lightning's `SLURMEnvironment` in
`trainer.plugins`.
"""

import os
import shutil
import subprocess
import sys

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer

from meta_rl.run.cluster import cluster_environment


def notice(trainer: Trainer) -> int | None:
    """The signal by which Slurm announces the end of a job that is to start again; None elsewhere."""
    environment = cluster_environment(trainer)
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal
    return None


def requeue() -> None:
    """Ask Slurm to start this job again; `--ckpt_path auto` in its script goes on from the checkpoint."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{job}_{os.environ['SLURM_ARRAY_TASK_ID']}" if job else os.environ["SLURM_JOB_ID"]
    scontrol = shutil.which("scontrol")
    try:
        done = subprocess.run([scontrol, "requeue", job], timeout=20).returncode == 0 if scontrol else False
    except subprocess.TimeoutExpired:
        done = False
    if not done:
        print(f"could not requeue: scontrol requeue {job}", file=sys.stderr)
