"""Weights & Biases: online for those who are logged in, offline for all others, never a question."""

import os
import secrets
import sys
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from meta_rl.errors import UserError, one_line
from meta_rl.experiment.checkpoint import KEY
from meta_rl.experiment.plain import flatten
from meta_rl.experiment.run_directory import RunDirectory

SECONDS_TO_CONNECT = 20
MODES = {None, "online", "offline", "disabled", "shared", "dryrun", "run"}


def run_id(checkpoint: dict[str, Any] | None) -> str:
    """The agent's run id where a sweep started this process, else the resumed run's, else a new one."""
    saved = checkpoint[KEY].get("wandb_run_id") if checkpoint else None
    return os.environ.get("WANDB_RUN_ID") or saved or secrets.token_hex(4)


def distinct(name: str) -> str:
    """The run's name; with the run id in a sweep, whose runs all start from one configuration."""
    identifier = os.environ.get("WANDB_RUN_ID")
    return f"{name}-{identifier}" if identifier and os.environ.get("WANDB_SWEEP_ID") else name


def project() -> str:
    """W&B's project for training and evaluation."""
    return os.environ.get("WANDB_PROJECT", "meta_rl")


def choose_mode() -> str | None:
    """W&B's mode as WANDB_MODE and a login allow it, None for no W&B at all; silences its messages.

    Raises:
        UserError: if WANDB_MODE is unknown, or `online` where that is impossible.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    wanted = os.environ.get("WANDB_MODE")
    if wanted == "disabled":
        return None
    if wanted not in MODES:
        raise UserError(f"WANDB_MODE={wanted}: expected online, offline or disabled")
    import wandb

    wandb.setup()  # reads WANDB_SILENT, which the loggers' own warnings need
    return _mode(wanted)


def start(run: RunDirectory, identifier: str, config: dict[str, Any]) -> list[Logger]:
    """Open the run's W&B record, or continue it. No logger if WANDB_MODE=disabled.

    Raises:
        UserError: if WANDB_MODE=online but W&B cannot be used.
    """
    mode = choose_mode()
    if mode is None:
        return []
    import wandb
    from wandb.errors import Error as WandbError

    settings = wandb.Settings(init_timeout=SECONDS_TO_CONNECT)
    logger = WandbLogger(
        name=run.name,
        save_dir=run.path,
        id=identifier,
        project=project(),
        mode=mode,
        settings=settings,
    )
    try:
        logger.log_hyperparams(flatten(config))
    except WandbError as error:
        raise UserError(f"W&B: {one_line(error)}; train without it by WANDB_MODE=offline") from None
    return [logger]


def finish(loggers: list[Logger], code: int) -> None:
    """Close what `start` opened, marking the run as failed unless `code` is 0.

    A run of a sweep that was stopped by a signal is marked as preempted where META_RL_REQUEUE is set: W&B
    gives it to an agent again. Elsewhere it is not: early termination stops hopeless runs by a signal, too.
    """
    requeue = code > 128 and os.environ.get("WANDB_SWEEP_ID") and os.environ.get("META_RL_REQUEUE")
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            if requeue:
                logger.experiment.mark_preempting()
            logger.experiment.finish(exit_code=code)


def places(loggers: list[Logger]) -> list[str]:
    """Where the W&B records are: an address, or `offline`."""
    return [lg.experiment.url or "offline" for lg in loggers if isinstance(lg, WandbLogger)]


def _mode(wanted: str | None) -> str:
    """Online if that is possible and not ruled out by WANDB_MODE, which `wanted` holds."""
    import wandb
    from wandb.errors import Error as WandbError

    if wanted not in (None, "online"):
        return wanted
    try:
        problem = "" if wandb.login(prompt=False, verify=True) else "nobody is logged in"  # 10 s at most
    except WandbError as error:
        problem = one_line(error)
    if problem and wanted:
        raise UserError(f"WANDB_MODE=online: {problem}; run `wandb login`, or unset WANDB_MODE")
    if problem and problem != "nobody is logged in":
        print(f"W&B stays offline, `wandb sync` uploads later: {problem}", file=sys.stderr)
    return "offline" if problem else "online"
