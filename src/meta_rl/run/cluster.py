"""Several processes: torchrun's agent starts and watches those of this machine.

The command of a user checks everything, and then hands over to the agent (`torch.distributed.elastic`),
which runs the same command once for every rank. The line that a rank would end with goes to the agent, so
that the user reads it once.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from meta_rl import threads
from meta_rl.errors import raised_in
from meta_rl.run.program import again
from meta_rl.run.signals import heard

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    from meta_rl.run.directory import RunDirectory

RUN_ID = "meta_rl"  # of an agent that `launch` has started
LOST = 75  # exit code of a rank that ends because another one has
SECONDS_TO_STOP = 24 * 3600  # after a signal: however long an iteration takes


def fail(reason: str, code: int) -> int:
    """Say why the program ends, in one line; return its exit code. A rank tells its agent instead."""
    if launched():
        content = {"message": reason, "code": code, "timestamp": int(time.time())}
        Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(content), "utf-8")
    else:
        print(f"error: {reason}", file=sys.stderr, flush=True)
    return code


def launched() -> bool:
    """Whether this is a rank that `launch` has started."""
    return os.environ.get("TORCHELASTIC_RUN_ID") == RUN_ID


def launch(trainer: "Trainer", directory: "RunDirectory") -> int:
    """Start this once for each of the trainer's devices; the exit code, after one line."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    size = trainer.world_size
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads.number() // size)))
    with tempfile.TemporaryDirectory(prefix="meta_rl-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=size,
            run_id=RUN_ID,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",  # any free port
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle=",".join(number.name for number in heard()),
            shutdown_timeout=SECONDS_TO_STOP,
        )
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # the agent's own words
        try:
            elastic_launch(config, sys.executable)(*again())
        except ChildFailedError as error:
            return _explain(error, size, directory)
        except SignalException as error:
            return 128 + error.sigval
        finally:
            logging.disable(disabled)
    return 0


def _explain(error: "ChildFailedError", size: int, directory: "RunDirectory") -> int:
    """Name the rank whose end was the cause, unless it has said why itself."""
    told = {rank: Path(failure.error_file).exists() for rank, failure in error.failures.items()}
    rank, first = min(
        error.failures.items(),
        key=lambda item: (not told[item[0]], item[1].exitcode == LOST, item[1].timestamp),
    )
    if told[rank]:  # whatever has become of it since
        return fail(str(first.message), cast(dict, first.error_file_data)["code"])
    code = first.exitcode
    if code > 128:  # stopped by a signal, as rank 0 has said
        return code
    how = f"by {first.signal_name()}" if code < 0 else f"with exit code {code}"
    resume = f"; resume with: {directory.resume_command()}" if directory.configs() else ""
    return fail(f"lost rank {rank} of {size} (process {first.pid}), which ended {how}{resume}", 1)


def end_with_launcher() -> None:
    """Let the system kill this rank if its agent dies, which else would leave it training (Linux only)."""
    if launched() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def is_of_a_message(error: Exception) -> bool:
    """Whether a message between processes has failed, rather than this one's own work."""
    import torch.distributed

    between = ("torch.distributed", "torch.nn.parallel")
    return isinstance(error, torch.distributed.DistError) or raised_in(error).startswith(between)
