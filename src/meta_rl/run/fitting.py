"""Lightning's `fit`, with every way it can end as an exit code and a line that says how to go on."""

import re
import shlex
import sys
import traceback
from pathlib import Path

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer

from meta_rl.errors import NonFiniteError, UserError, one_line, raised_in
from meta_rl.run.checkpoint import serialise
from meta_rl.run.cluster import Processes
from meta_rl.run.config import MetaCLI
from meta_rl.run.directory import RunDirectory
from meta_rl.run.files import WriteError, write_atomically
from meta_rl.run.stopping import GracefulStop


class Fitting:
    """Trains in this process, and in the others that the trainer asks for.

    Args:
        trainer: Of the configuration.
        cli: Its learner and data module.
        source: Checkpoint to go on from.
        first_step: Iterations that it has.
        directory: Of the run.
        stop: Knows of a signal that came.
    """

    def __init__(
        self,
        trainer: Trainer,
        cli: MetaCLI,
        source: Path | None,
        first_step: int,
        directory: RunDirectory,
        stop: GracefulStop,
    ) -> None:
        self.trainer, self.cli, self.source = trainer, cli, source
        self.first_step, self.directory, self.stop = first_step, directory, stop

    def run(self, config: str) -> int:
        """Train; return the exit code, after a line for the user.

        Args:
            config: The file to resume with.

        Raises:
            UserError: if nothing was trained.
        """
        trainer, processes = self.trainer, Processes(self.trainer)
        try:
            with processes:
                trainer.fit(
                    self.cli.model, datamodule=self.cli.datamodule, ckpt_path=self.source, weights_only=True
                )
        except NonFiniteError as error:
            elsewhere = not trainer.is_global_zero and "on another rank" in str(error)
            return 1 if elsewhere else _fail(self._describe(error))
        except WriteError as error:
            if trainer.global_step <= self.first_step:
                raise
            return _fail(f"{error}; when it can be, resume with: {self._resume(config)}")
        except MisconfigurationException as error:  # what Lightning only sees with the learner
            raise UserError(f"trainer: {one_line(error)}") from error
        except UserError:
            raise
        except Exception as error:
            return self._explain(error, processes, config)
        return self._conclude(config)

    def _explain(self, error: Exception, processes: Processes, config: str) -> int:
        """Raise the error again, unless it is another one in disguise."""
        started = self.trainer.global_step > self.first_step
        if re.search("loading state_dict|loaded state dict", str(error)):
            reason = str(error).strip().splitlines()[-1].strip()
            raise UserError(
                f"checkpoint {self.source} does not fit model.init_args and data.env: {reason}"
            ) from None
        if not started and self.source and _while_restoring(error):
            raise UserError(
                f"checkpoint {self.source} cannot be restored: {type(error).__name__}: {one_line(error)}"
            ) from error
        if processes.lost:
            if not started and processes.code > 128:  # a signal before training
                raise SystemExit(processes.code)
            resume = f"; resume with: {self._resume(config)}" if config and started else ""
            code = _fail(f"lost {processes.lost}{resume}")
            if not started:
                raise SystemExit(code)
            return code
        if not started and _of_lightning(error):
            raise UserError(f"trainer: {one_line(error)}") from error
        raise error

    def _conclude(self, config: str) -> int:
        """After training without an error."""
        trainer, directory, number = self.trainer, self.directory, self.stop.signal
        if trainer.global_step <= self.first_step:
            if number is not None:
                raise SystemExit(128 + number)
            raise UserError(
                "trainer: nothing was trained; check trainer.max_epochs, max_time and limit_train_batches"
            )
        if number is not None and trainer.global_step != trainer.max_steps:
            if trainer.is_global_zero:
                print(f"stopped at iteration {trainer.global_step}; resume with: {self._resume(config)}")
            return 128 + number
        if trainer.is_global_zero:
            evaluate = shlex.join(["python", "evaluate.py", "--checkpoint", str(directory.last)])
            print(f"done: {trainer.global_step} iterations in {directory.path}; evaluate with: {evaluate}")
        return 0

    def _resume(self, config: str) -> str:
        """The command that goes on from here."""
        which = "last" if self.directory.last.exists() else "auto"
        return shlex.join(["python", sys.argv[0], "--config", config, "--ckpt_path", which])

    def _describe(self, error: NonFiniteError) -> str:
        """Keep what `error` has seen in a file, and say where."""
        iteration = error.dump.get("iteration", self.trainer.global_step) + 1
        rank = f"-rank-{self.trainer.global_rank}" if self.trainer.world_size > 1 else ""
        file = self.directory.path / f"nonfinite-step-{iteration}{rank}.pt"
        parts = [f"{error} in iteration {iteration}"]
        try:
            write_atomically(file, serialise(error.dump))
            parts.append(f"see {file}")
        except WriteError as failure:
            parts.append(str(failure))
        if self.directory.last.exists():
            parts.append(f"{self.directory.last} is from before")
        return "; ".join(parts)


def _while_restoring(error: Exception) -> bool:
    """Whether the state in a checkpoint was being taken over, or first used by the optimizer."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    loading = any(frame.f_code.co_name == "load_state_dict" for frame in frames)
    return loading or raised_in(error).startswith("torch.optim")


def _of_lightning(error: Exception) -> bool:
    """Whether Lightning itself raised it: about an argument of the trainer that it checks late."""
    return raised_in(error).startswith("lightning.pytorch")


def _fail(reason: str) -> int:
    print(f"error: {reason}", file=sys.stderr, flush=True)
    return 1
