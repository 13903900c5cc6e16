"""What happens between meta-iterations: checkpoints and metrics. The first rank alone writes files."""

import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from meta_rl import ranks
from meta_rl.errors import UserError
from meta_rl.run.checkpoint import KEY, VERSION, AtomicCheckpointIO, DamagedError, load_checkpoint
from meta_rl.run.directory import RunDirectory
from meta_rl.run.files import sync, writing
from meta_rl.run.metrics_file import MetricsFile


class Checkpointing(Checkpoint):
    """Keeps the last ones, and `best.ckpt` of the iteration with the highest post-adaptation return.

    The state is the one after the iteration's update. A file is written beside its final name and renamed, so
    that whatever interrupts it, the name belongs to a whole checkpoint. `last.ckpt` is the newest; it and the
    ones before it are kept as `step-N.ckpt`, in case a file is damaged later.

    Args:
        run: The run's directory.
        every: Iterations between two `last.ckpt`; one more is written at the end.
        number: How many `step-N.ckpt` to keep.
        config: The resolved configuration, kept in every checkpoint.
        wandb_run_id: Of the run that a resumed one continues.
    """

    def __init__(
        self, run: RunDirectory, every: int, number: int, config: dict[str, Any], wandb_run_id: str
    ) -> None:
        self.run = run
        self.every = every
        self.number = number
        self.extra = {"version": VERSION, "config": config, "wandb_run_id": wandb_run_id}
        self.best_return = -math.inf
        self.saved_step = 0
        self.model_changed = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.model_changed = checkpoint[KEY]["config"]["model"] != self.extra["config"]["model"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # An optimizer's state holds its rates too. A resumed run shall use those it has been configured with.
        for optimizer in trainer.optimizers if self.model_changed else ():
            for group in optimizer.param_groups:
                group.update(optimizer.defaults)
        self.saved_step = trainer.global_step  # nothing new to save
        if trainer.is_global_zero:
            self._go_back(trainer)
        # All ranks have to agree on when there is a new best: saving it is a common operation.
        self.best_return = trainer.strategy.broadcast(self.best_return)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        value = trainer.callback_metrics.get("return_post")
        if value is not None and float(value) > self.best_return:
            self.best_return = float(value)
            trainer.save_checkpoint(self.run.best)
        if trainer.global_step % self.every == 0:
            self._save_last(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.saved_step != trainer.global_step:
            self._save_last(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[KEY] = self.extra

    def state_dict(self) -> dict[str, Any]:
        return {"best_return": self.best_return}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_return = state_dict["best_return"]

    def _save_last(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            with writing(self.run.metrics):  # no checkpoint shall survive the rows that lead to it
                sync(self.run.metrics)
        trainer.save_checkpoint(self.run.last)
        if trainer.is_global_zero:
            self.run.keep(trainer.global_step, self.number)
        self.saved_step = trainer.global_step

    def _go_back(self, trainer: Trainer) -> None:
        """Drop the checkpoints of a future that is abandoned."""
        source = Path(trainer.ckpt_path) if trainer.ckpt_path else None
        if source and self.run.holds(source):
            self.run.go_back(source, trainer.global_step)
        best = self.run.best
        if best.exists() and self._abandoned(best, trainer.global_step):
            with writing(best):
                best.unlink()
        if not best.exists():  # a branch has none of its own yet
            self.best_return = -math.inf

    def _abandoned(self, best: Path, step: int) -> bool:
        """Whether `best` is of a future that is abandoned now, or damaged."""
        try:
            return load_checkpoint(best)["global_step"] > step
        except DamagedError as error:
            print(f"{str(error).partition(';')[0]}; removed, a new one follows", file=sys.stderr)
            return True


class MetricsLog(Callback):
    """Writes what the learner logged in this iteration to metrics.csv and to the loggers.

    Lightning's own logging repeats a metric that is logged every n steps in all the steps between.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.file = MetricsFile(run.metrics)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.file.rewind(trainer.global_step)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        for result in trainer._results.values() if trainer._results else ():
            if not result.meta.on_epoch:
                result.reset()
        trainer.logged_metrics.clear()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        row = {name: value.item() for name, value in trainer.logged_metrics.items()}
        row = {"step": trainer.global_step, **{k: v for k, v in row.items() if k != "step"}}
        self.file.append(row)
        for logger in trainer.loggers:
            with writing(self.file.path.parent):
                logger.log_metrics(row, trainer.global_step)


class SameStart(Callback):
    """Refuses to train if the ranks were started differently, or see different checkpoints.

    Args:
        config: The resolved configuration as text.
        source: The checkpoint that this rank goes on from.
    """

    def __init__(self, config: str, source: Path | None) -> None:
        content = source.read_bytes() if source else b""
        self.digest = int.from_bytes(hashlib.sha256(config.encode() + content).digest()[:7])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        found = ranks.gather(torch.tensor([self.digest], device=trainer.strategy.root_device)).tolist()
        others = [rank for rank, digest in enumerate(found) if digest != found[0]]
        if not others:
            return
        if trainer.is_global_zero:
            raise UserError(
                f"rank {others[0]} has another configuration or checkpoint than rank 0; start all with the "
                "same command, on a file system that they share"
            )
        raise SystemExit(2)
