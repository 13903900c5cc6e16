"""One start of a run: check everything, claim its directory, train, and say how to go on."""

import logging
import os
import re
import shlex
import shutil
import signal
import warnings
from contextlib import ExitStack

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback

from meta_rl import threads
from meta_rl.errors import NonFiniteError, UserError, one_line, raised_in
from meta_rl.run import cluster, program, tracking
from meta_rl.run.callbacks import Checkpointing, MetricsLog
from meta_rl.run.checkpoint import KEY, check_resumable, load_newest, serialise
from meta_rl.run.config import MetaCLI
from meta_rl.run.directory import RunDirectory
from meta_rl.run.files import WriteError, write_atomically, writing
from meta_rl.run.launchers import needs_launch
from meta_rl.run.progress import AboveTheBar, Progress
from meta_rl.run.record import Provenance
from meta_rl.run.signals import handling
from meta_rl.run.stopping import GracefulStop, reached


def train(args: list[str], default_name: str) -> tuple[int, RunDirectory]:
    """Train as the normalised arguments say.

    Returns:
        The exit code (see `meta_rl.run.command.main`), and where the run is.
    """
    threads.use(threads.number())  # in this thread too
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no tips, no list of hardware, no seed
    logging.getLogger("meta_rl").handlers = [AboveTheBar()]
    warnings.filterwarnings("ignore", module="lightning")  # about data loaders, workers and its own imports
    cli = MetaCLI(args)
    name = tracking.distinct(cli.options.name or default_name)
    directory = RunDirectory(cli.options.runs_dir, name)
    try:
        session = Session(cli, directory)
        if needs_launch(session.trainer) and not session.complete:
            directory.release()  # to the first rank
            return cluster.launch(session.trainer, directory), directory
        return session.run(), directory
    finally:
        directory.release()


class Session:
    """What one start needs. Nothing is written before everything has been checked.

    Args:
        cli: The configuration with its learner, data module and trainer.
        directory: Where the run is, or is to be.

    Raises:
        UserError: if the run cannot be started as asked.
    """

    def __init__(self, cli: MetaCLI, directory: RunDirectory) -> None:
        self.cli, self.directory, options = cli, directory, cli.options
        if not cli.model.trainable():
            raise UserError(
                f"{type(cli.model).__name__} has nothing to train (no training_step); evaluate it with: "
                f"{shlex.join([*program.sibling('evaluate'), '--config', str(cli.config.config[-1])])}"
            )
        cli.settle(directory.name)
        self.config = cli.plain()
        self.record = Provenance(directory.record)
        self.stop = GracefulStop()
        self.kept = False  # whether something of a failure is kept in the directory
        saving = Checkpointing(directory, options.checkpoint_every, options.keep_checkpoints, self.config)
        begin = LambdaCallback(on_train_start=self._begin)
        callbacks = [MetricsLog(directory), begin, Progress(), self.stop, saving]
        self.trainer = cli.make_trainer(callbacks, directory.path)
        torch.set_float32_matmul_precision(options.matmul_precision)
        if self.trainer.is_global_zero:
            directory.hold()
        candidates = directory.find(options.ckpt_path)
        automatic = options.ckpt_path == "auto"
        self.source, checkpoint = load_newest(candidates) if candidates else (None, None)
        self.first_step = checkpoint["global_step"] if checkpoint else 0
        # A checkpoint from elsewhere starts a branch: a new directory and a new W&B run. A copied directory
        # goes on in place, and as a new W&B run.
        own = directory.holds(self.source) if self.source else automatic
        if directory.lock is not None and not own:
            remedy = "resume it with --ckpt_path last" if directory.last.exists() else "delete it"
            raise UserError(f"{directory.path} holds a run already; {remedy} or choose another --name")
        same = own and checkpoint and checkpoint[KEY]["config"]["name"] == directory.name
        self.lent = tracking.open_run()
        self.wandb_id = saving.wandb_id = tracking.run_id(checkpoint if same else None)
        limit = reached(self.trainer, checkpoint) if checkpoint else None
        self.complete = automatic and limit is not None
        if checkpoint and self.source:
            check_resumable(checkpoint, self.config, self.source)
        if limit and not automatic:
            at = f"checkpoint {self.source} is at iteration {self.first_step} and {limit}"
            raise UserError(
                f"{at}: nothing is left to train; raise trainer.max_steps, max_epochs or max_time"
            )

    @property
    def started(self) -> bool:
        """Whether this start has trained an iteration."""
        return self.trainer.global_step > self.first_step

    def run(self) -> int:
        """Train, or say that there is nothing left to do; return the exit code."""
        if not self.trainer.is_global_zero:  # the other ranks do their share, and write no files
            code = 0 if self.complete else self._fit()
            return 0 if code > 128 else code  # an error would end rank 0, which may still be busy
        try:
            fresh = self.directory.make()
            if self.complete and self.source:
                self.directory.go_back(self.source, self.first_step)  # where last.ckpt was damaged
                self.record.complete()
                print(f"{self.directory.path}: finished already, {self.first_step} iterations")
                return 0
            return self._lead(fresh)
        except WriteError as error:  # nothing has been trained
            raise UserError(f"{error}; make it writable, or choose another --runs_dir") from None

    def _lead(self, fresh: bool) -> int:
        """What the only process does, or the first of several: it keeps the run's records too."""
        code = 1
        with ExitStack() as stack:
            try:
                try:
                    code = self._fit()
                finally:  # for the moment in which records are completed
                    stack.enter_context(handling(signal.SIG_IGN, signal.SIGINT))
            finally:  # also where a signal has come just before it was ignored
                code = self._end(code)
                if fresh and not self.started and not self.kept:
                    shutil.rmtree(self.directory.path, ignore_errors=True)
        return code

    def _begin(self, trainer: Trainer, _: LightningModule) -> None:
        """Open the records of this start. Lightning calls it when nothing is left to be set up."""
        if not trainer.is_global_zero:
            return
        if self.cli.tracked:
            with writing(self.directory.path):
                wandb = tracking.start(self.directory, self.wandb_id, self.config)
                trainer.loggers = [*trainer.loggers, *wandb]
        self.record.begin(shlex.join(program.typed()), self.first_step, self._device())
        self.directory.save_config(self.cli.dump())
        print(self._introduction(), flush=True)

    def _end(self, code: int) -> int:
        """Complete the records of this start, as far as it has any; return its exit code."""
        outcome = "done" if code == 0 else "stopped" if code > 128 else "failed"
        try:
            self.record.end(self.trainer.global_step, outcome)
        except WriteError as error:
            code = code or cluster.fail(str(error), 1)  # else the disk has been reported already
        tracking.finish(self.trainer.loggers, code, self.lent)
        return code

    def _fit(self) -> int:
        """Lightning's `fit`, with every way it can end as an exit code and a line that says how to go on.

        Raises:
            UserError: if nothing was trained.
        """
        try:
            self.trainer.fit(
                self.cli.model, datamodule=self.cli.datamodule, ckpt_path=self.source, weights_only=True
            )
        except NonFiniteError as error:
            elsewhere = not self.trainer.is_global_zero and "on another rank" in str(error)
            return cluster.LOST if elsewhere else cluster.fail(self._describe(error), 1)
        except WriteError as error:
            if not self.started:
                raise
            if not self.directory.configs():  # somebody has removed it
                return cluster.fail(f"{error}; the run's directory is gone, start anew", 1)
            resume = self.directory.resume_command()
            return cluster.fail(f"{error}; when it can be, resume with: {resume}", 1)
        except UserError:
            raise
        except Exception as error:
            return self._explain(error)
        return self._conclude()

    def _explain(self, error: Exception) -> int:
        """A user's mistake as such, and the loss of another rank as an exit code; a bug is raised again."""
        if re.search("loading state_dict|loaded state dict", str(error)):
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(
                f"checkpoint {self.source} does not fit model.init_args and data.env: {reason}"
            ) from None
        if "EADDRINUSE" in str(error):
            port = os.environ.get("MASTER_PORT")
            raise UserError(f"MASTER_PORT: port {port} is taken on this machine; set another one") from None
        if self.trainer.world_size > 1 and cluster.is_of_a_message(error):
            return cluster.LOST  # what has started the ranks tells which
        of_trainer = raised_in(error).startswith(("lightning.pytorch", "lightning.fabric"))
        if of_trainer and not self.started:  # about an argument that it checks late
            raise UserError(f"trainer: {one_line(error)}") from error
        raise error

    def _conclude(self) -> int:
        """After training without an error."""
        step, directory = self.trainer.global_step, self.directory
        stopped = self.stop.signal and step != self.trainer.max_steps
        if not self.started:
            keys = "max_steps, max_epochs, max_time and limit_train_batches"
            raise UserError(f"trainer: nothing was trained; check trainer.{keys}")
        if self.trainer.is_global_zero and stopped:
            print(f"stopped at iteration {step}; resume with: {directory.resume_command()}")
        elif self.trainer.is_global_zero:
            evaluate = shlex.join([*program.sibling("evaluate"), "--checkpoint", str(directory.last)])
            print(f"done: {step} iterations in {directory.path}; evaluate with: {evaluate}")
        return 128 + self.stop.signal if self.stop.signal and stopped else 0

    def _describe(self, error: NonFiniteError) -> str:
        """Keep what `error` has seen in a file, and say where."""
        iteration = error.dump.get("iteration", self.trainer.global_step) + 1
        rank = f"-rank-{self.trainer.global_rank}" if self.trainer.world_size > 1 else ""
        file = self.directory.path / f"nonfinite-step-{iteration}{rank}.pt"
        self.kept = True
        try:
            write_atomically(file, serialise(error.dump))
            return f"{error} in iteration {iteration}; see {file}"
        except WriteError as failure:
            return f"{error} in iteration {iteration}; {failure}"

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
        return f"{processes}{self.trainer.strategy.root_device} with {threads.number()} threads"
