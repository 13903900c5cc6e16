"""What happens between meta-iterations: checkpoints and metrics. The first rank alone writes files."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from meta_rl.errors import UserError
from meta_rl.run.checkpoint import KEY, VERSION, AtomicCheckpointIO, DamagedError, load_checkpoint
from meta_rl.run.directory import RunDirectory, remove
from meta_rl.run.files import sync, write_atomically, writing

Row = dict[str, str]  # of metrics.csv


class Checkpointing(Checkpoint):
    """Keeps the last ones, and `best.ckpt` of the iteration with the highest post-adaptation return.

    The state is the one after the iteration's update. A file is written beside its final name and renamed, so
    that whatever interrupts it, the name belongs to a whole checkpoint. `last.ckpt` is the newest; it and the
    ones before it are kept as `step-N.ckpt`, in case a file is damaged later.

    Args:
        run: The run's directory, in which to write.
        every: Iterations between two `last.ckpt`; one more is written at the end.
        number: How many `step-N.ckpt` are kept.
        config: The resolved configuration, kept in every checkpoint.

    Attributes:
        wandb_id: The run's id at W&B, which a resumed run keeps.
    """

    wandb_id = ""

    def __init__(self, run: RunDirectory, every: int, number: int, config: dict[str, Any]) -> None:
        self.run = run
        self.every = every
        self.number = number
        self.config = config
        self.best_return = -math.inf
        self.saved_step = 0
        self.model_changed = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.model_changed = checkpoint[KEY]["config"]["model"] != self.config["model"]

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
        checkpoint[KEY] = {"version": VERSION, "config": self.config, "wandb_run_id": self.wandb_id}

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
        """Drop the checkpoints of a future that is abandoned, and a damaged best one."""
        source = Path(trainer.ckpt_path) if trainer.ckpt_path else None
        if source and self.run.holds(source):
            self.run.go_back(source, trainer.global_step)
        try:
            kept = load_checkpoint(self.run.best)["global_step"] <= trainer.global_step
        except DamagedError as error:
            kept = False
            if self.run.best.exists():
                print(f"{str(error).partition(';')[0]}; removed, a new one follows", file=sys.stderr)
        if not kept:  # a branch has none of its own yet
            remove(self.run.best)
            self.best_return = -math.inf


class MetricsLog(Callback):
    """Writes what the learner logs in an iteration to metrics.csv and to the loggers.

    Lightning's own logging repeats a metric that is logged every n steps in all the steps between. So the
    learner's `log` is heard here.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.file = MetricsFile(run.metrics)
        self.logged: dict[str, torch.Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        log = pl_module.log

        def hear(name: str, value: Any, *args: Any, **kwargs: Any) -> None:
            self.logged[name] = torch.as_tensor(value).detach().clone()
            log(name, value, *args, **kwargs)

        pl_module.log = hear  # type: ignore[method-assign]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.file.rewind(trainer.global_step)

    def on_train_batch_start(self, *_: Any) -> None:
        self.logged.clear()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.is_global_zero:
            return
        row = {name: value.item() for name, value in self.logged.items()}
        row = {"step": trainer.global_step, **{k: v for k, v in row.items() if k != "step"}}
        self.file.append(row)
        for logger in trainer.loggers:
            with writing(self.file.path.parent):
                logger.log_metrics(row, trainer.global_step)


class MetricsFile:
    """A CSV with a row for each `step`, whose columns may grow; no cell needs quotes.

    Rows are flushed one by one, so that the file is as long as the run even if it is killed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []

    def rewind(self, step: int) -> None:
        """Drop the rows after `step`, and what a killed process left of its last line.

        Raises:
            UserError: if the file holds anything else than rows with a step.
        """
        if not self.path.exists():
            return
        try:
            self.columns, rows = self._read()
            kept = [row for row in rows if int(row["step"]) <= step]
        except (OSError, ValueError, KeyError):
            raise UserError(f"{self.path}: not the metrics of a run; move it away and resume again") from None
        self._write(kept)

    def append(self, values: Mapping[str, float]) -> None:
        """Add a row. Columns seen for the first time are empty in the earlier rows."""
        row = {name: _format(value) for name, value in values.items()}
        new = [name for name in row if name not in self.columns]
        if new:
            rows = self._read()[1] if self.columns else []
            self.columns += new
            self._write([*rows, row])
            return
        with writing(self.path), self.path.open("a", newline="", encoding="utf-8") as stream:
            stream.write(self._line(row))

    def _line(self, row: Row) -> str:
        return ",".join(row.get(name, "") for name in self.columns) + "\n"

    def _read(self) -> tuple[list[str], list[Row]]:
        """Columns and whole rows. A ValueError unless every row has a cell for each column."""
        header, *lines, _torn = self.path.read_text("utf-8").split("\n")
        columns = header.split(",")
        return columns, [dict(zip(columns, line.split(","), strict=True)) for line in lines]

    def _write(self, rows: list[Row]) -> None:
        text = ",".join(self.columns) + "\n" + "".join(map(self._line, rows))
        write_atomically(self.path, text.encode())


def _format(value: float) -> str:
    """Whole numbers in full, others with the digits that a float32 holds."""
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"
