"""Weights & Biases: online for those who are logged in, offline for all others, never a question."""

import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from meta_rl.errors import UserError, one_line
from meta_rl.run.checkpoint import KEY
from meta_rl.run.directory import RunDirectory
from meta_rl.run.plain import flatten

SECONDS_TO_CONNECT = 15  # after a login, which takes as long at most
SECONDS_TO_FINISH = 30
NOBODY = "nobody is logged in"


class PatientLogger(WandbLogger):
    """W&B's logger, but training goes on without it once its process has died."""

    broken = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self.broken:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:  # whatever it is, it is not worth the run
            self.broken = True
            reason = one_line(error)
            print(f"W&B has failed, training goes on, metrics.csv has all: {reason}", file=sys.stderr)


def open_run() -> Any:
    """The W&B run that the program around has opened, which is used and left open; None without one."""
    return getattr(sys.modules.get("wandb"), "run", None)


def run_id(checkpoint: dict[str, Any] | None) -> str:
    """That of an open run, else a sweep's agent's, else the resumed run's, else a new one."""
    if (lent := open_run()) is not None:
        return lent.id
    saved = checkpoint[KEY].get("wandb_run_id") if checkpoint else None
    return os.environ.get("WANDB_RUN_ID") or saved or secrets.token_hex(4)


def distinct(name: str) -> str:
    """The run's name; with the run id in a sweep, whose runs all start from one configuration."""
    identifier = os.environ.get("WANDB_RUN_ID")
    return f"{name}-{identifier}" if identifier and os.environ.get("WANDB_SWEEP_ID") else name


def project() -> str:
    """W&B's project for training and evaluation."""
    return os.environ.get("WANDB_PROJECT", "meta_rl")


def bounded() -> Any:
    """W&B's settings for a run that waits for its server no longer than the SECONDS_ above."""
    import wandb

    return wandb.Settings(
        init_timeout=SECONDS_TO_CONNECT, finish_timeout=SECONDS_TO_FINISH, finish_timeout_raises=True
    )


def choose_mode() -> str | None:
    """W&B's mode as WANDB_MODE and a login allow it, None for no W&B at all; silences its messages.

    Raises:
        UserError: if WANDB_MODE is unknown, or `online` where that is impossible; if W&B refuses the value of
            another of its variables.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wanted = os.environ.get("WANDB_MODE")
    if wanted == "disabled":
        return None
    if wanted not in (None, "online", "offline"):
        raise UserError(f"WANDB_MODE={wanted}: expected online, offline or disabled")
    import wandb
    from wandb.errors import Error as WandbError

    try:
        wandb.setup()  # reads WANDB_SILENT, which the loggers' own warnings need, and all other variables
    except (WandbError, ValueError) as error:
        reason = one_line(error).partition(" [type=")[0]
        raise UserError(f"W&B: {reason}; mend its WANDB_ variable, or set WANDB_MODE=disabled") from None
    if wanted == "offline":
        return wanted
    try:
        problem = "" if wandb.login(prompt=False, verify=True) else NOBODY  # 10 s at most
    except WandbError as error:
        problem = one_line(error)
    if problem and wanted:
        raise UserError(f"WANDB_MODE=online: {problem}; run `wandb login`, or unset WANDB_MODE")
    if problem and problem != NOBODY:
        _stays_offline(problem)
    return "offline" if problem else "online"


def start(run: RunDirectory, identifier: str, config: dict[str, Any]) -> list[Logger]:
    """Open the run's W&B record, or continue it. No logger if WANDB_MODE=disabled.

    Raises:
        UserError: if WANDB_MODE=online but W&B cannot be used.
    """
    if open_run() is not None:
        return [_open(run, identifier, config, None)]
    mode = choose_mode()
    if mode is None:
        return []
    try:
        return [_open(run, identifier, config, mode)]
    except Exception as error:  # W&B's process may die of an answer, which is no WandbError
        if os.environ.get("WANDB_MODE"):
            raise UserError(f"W&B: {one_line(error)}; train without it by WANDB_MODE=offline") from None
        _stays_offline(error)
    import wandb

    with suppress(Exception):
        wandb.teardown()  # offline needs a process that is alive
    return [_open(run, identifier, config, "offline")]


def finish(loggers: list[Logger], code: int, lent: Any = None) -> None:
    """Close what `start` opened, but not a run that was `lent`, marking the run as failed unless `code` is 0.

    What is not uploaded after SECONDS_TO_FINISH stays on disk, and a line on stderr says so.

    A run of a sweep that was stopped by a signal is marked as preempted where META_RL_REQUEUE is set: W&B
    gives it to an agent again. Elsewhere it is not: early termination stops hopeless runs by a signal, too.
    """
    requeue = code > 128 and os.environ.get("WANDB_SWEEP_ID") and os.environ.get("META_RL_REQUEUE")
    records = [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]
    for record in (record for record in records if record is not lent):
        try:
            if requeue:
                record.mark_preempting()
            record.finish(exit_code=code)
        except Exception as error:  # late, or W&B's process has died
            upload = f"wandb sync --include-online {Path(record.dir).parent}"
            print(f"W&B has not got everything ({one_line(error)}); upload: {upload}", file=sys.stderr)


def places(loggers: list[Logger]) -> list[str]:
    """Where the W&B records are: an address, or `offline`."""
    return [lg.experiment.url or "offline" for lg in loggers if isinstance(lg, WandbLogger)]


def _open(run: RunDirectory, identifier: str, config: dict[str, Any], mode: str | None) -> WandbLogger:
    logger = PatientLogger(  # it takes a run that is open, whatever else it is told
        name=run.name, save_dir=run.path, id=identifier, project=project(), mode=mode, settings=bounded()
    )
    logger.log_hyperparams(flatten(config))
    return logger


def _stays_offline(problem: object) -> None:
    print(f"W&B stays offline, `wandb sync` uploads later: {one_line(problem)}", file=sys.stderr)
