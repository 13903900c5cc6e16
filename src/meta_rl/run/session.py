"""One start of a run: check everything, claim its directory, train, and say how to go on."""

import logging
import shlex
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import torch

from meta_rl.errors import UserError
from meta_rl.run import slurm, tracking
from meta_rl.run.callbacks import Checkpointing, MetricsLog, SameStart
from meta_rl.run.checkpoint import KEY, check_resumable, load_newest
from meta_rl.run.cluster import share_cores
from meta_rl.run.config import MetaCLI
from meta_rl.run.directory import RunDirectory
from meta_rl.run.files import WriteError, writing
from meta_rl.run.fitting import Fitting
from meta_rl.run.progress import AboveTheBar, Progress
from meta_rl.run.record import Provenance
from meta_rl.run.signals import to_the_end
from meta_rl.run.stopping import GracefulStop


def train(args: list[str], default_name: str) -> int:
    """Train as the normalised arguments say; return the exit code (see `meta_rl.run.command.main`)."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no tips, no list of hardware, no seed
    logging.getLogger("meta_rl").handlers = [AboveTheBar()]
    warnings.filterwarnings("ignore", module="lightning")  # about data loaders, workers and its own imports
    return Session(MetaCLI(args), default_name).run()


class Session:
    """What one start needs. Nothing is written before everything has been checked.

    Raises:
        UserError: if the run cannot be started as asked.
    """

    def __init__(self, cli: MetaCLI, default_name: str) -> None:
        self.cli = cli
        if not cli.model.trainable():
            name, file = type(cli.model).__name__, shlex.quote(str((cli.config.config or ["FILE"])[-1]))
            raise UserError(
                f"{name} has nothing to train (no training_step); evaluate it with: "
                f"python evaluate.py --config {file}"
            )
        cli.config.name = tracking.distinct(cli.config.name or default_name)
        self.directory = RunDirectory(cli.config.runs_dir, cli.config.name)
        candidates = self.directory.find(cli.config.ckpt_path)
        self.record = Provenance(self.directory.record)
        automatic = cli.config.ckpt_path == "auto"
        restart = automatic and not candidates  # over what a killed start left without a checkpoint
        if restart and self.record.finished():
            raise UserError(
                f"{self.directory.path} holds a finished run without a checkpoint; choose another --name"
            )
        cli.config.ckpt_path = None  # the saved configuration describes the experiment, not this start
        self.config = cli.plain()
        self.source, checkpoint = load_newest(candidates) if candidates else (None, None)
        self.first_step = checkpoint["global_step"] if checkpoint else 0
        # A checkpoint from elsewhere starts a branch: a new directory and a new W&B run. A copied directory
        # goes on in place, and as a new W&B run.
        self.own = restart or (self.source is not None and self.directory.holds(self.source))
        same = self.own and checkpoint and checkpoint[KEY]["config"]["name"] == self.directory.name
        self.wandb_id = tracking.run_id(checkpoint if same else None)
        self.stop = GracefulStop()
        every, number = cli.config.checkpoint_every, cli.config.keep_checkpoints
        saving = Checkpointing(self.directory, every, number, self.config, self.wandb_id)
        start = SameStart(cli.dump(), self.source)
        callbacks = [start, Progress(), MetricsLog(self.directory), self.stop, saving]
        torch.set_float32_matmul_precision(cli.config.matmul_precision)
        self.trainer = cli.make_trainer(callbacks, self.directory.path)
        share_cores(self.trainer)
        self.fitting = Fitting(self.trainer, cli, self.source, self.first_step, self.directory, self.stop)
        steps = self.trainer.max_steps
        self.complete = automatic and 0 < steps <= self.first_step
        if checkpoint and self.source:
            check_resumable(checkpoint, self.config, self.source, -1 if self.complete else steps)

    def run(self) -> int:
        """Train, or say that there is nothing left to do; return the exit code."""
        if not self.trainer.is_global_zero:
            return self._follow()
        fresh = self.directory.claim(resume=self.own)
        try:
            if self.complete and self.source:
                self.directory.go_back(self.source, self.first_step)  # where last.ckpt was damaged
                self.record.complete()
                print(f"{self.directory.path}: finished already, {self.first_step} iterations")
                return 0
            return self._lead(fresh)
        except WriteError as error:  # nothing has been trained
            raise UserError(f"{error}; make it writable, or choose another --runs_dir") from None
        finally:
            self.directory.release()

    def _follow(self) -> int:
        """What the other ranks do: their share, and no files."""
        if self.complete:
            return 0
        code = self.fitting.run("")
        return 0 if code > 128 else code  # what has started it would end rank 0, which may still be busy

    def _lead(self, fresh: bool) -> int:
        """What the only process does, or the first of several: it keeps the run's directory too."""
        directory, config = self.directory, None
        try:
            config = directory.save_config(self.cli.dump())
            self.record.begin(shlex.join(["python", *sys.argv]), self.first_step, self._device())
            if self.cli.default_logger:
                with writing(directory.path):
                    self.trainer.loggers = tracking.start(directory, self.wandb_id, self.config)
            print(self._introduction(), flush=True)
            code = self.fitting.run(str(config))
        except BaseException as error:
            code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
            self._abort(fresh, config, code)
            raise
        with to_the_end():
            return self._finish(code)

    def _abort(self, fresh: bool, config: Path | None, code: int) -> None:
        """Clean up after an exception, without raising another one in its place."""
        tracking.finish(self.trainer.loggers, code)
        if fresh and self.trainer.global_step <= self.first_step:  # it never started
            self.directory.discard()
            return
        with suppress(WriteError, OSError):  # of a disk that is full or read-only
            if self.trainer.global_step > self.first_step:
                self.record.end(self.trainer.global_step, "failed")
            elif config:
                config.unlink()
                self.record.undo()

    def _finish(self, code: int) -> int:
        """Complete the records of a start that has trained; return its exit code."""
        outcome = "done" if code == 0 else "stopped" if code > 128 else "failed"
        try:
            self.record.end(self.trainer.global_step, outcome)
        except WriteError as error:
            if code != 1:  # else the disk has been reported already
                print(f"error: {error}", file=sys.stderr)
            code = code or 1
        if self.stop.requeue and code > 128:
            slurm.requeue()  # first, since Slurm waits for nobody
        tracking.finish(self.trainer.loggers, code)
        return code

    def _introduction(self) -> str:
        data, model = self.config["data"], self.config["model"]
        algorithm, env = (spec["class_path"].rpartition(".")[2] for spec in (model, data["env"]))
        parts = [
            f"{self.directory.path}: {algorithm} on {env}",
            f"{data['meta_batch_size']} tasks x {data['fast_batch_size']} episodes",
            self._device(),
            *(f"W&B {place}" for place in tracking.places(self.trainer.loggers)),
        ]
        return ", ".join(parts) + (f", from iteration {self.first_step}" if self.source else "")

    def _device(self) -> str:
        size = self.trainer.world_size
        processes = f"{size} processes on " if size > 1 else ""
        return f"{processes}{self.trainer.strategy.root_device} with {torch.get_num_threads()} threads"
