"""An evaluation as a W&B run of its own, beside that of the training."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from meta_rl.errors import UserError, one_line
from meta_rl.run.plain import flatten
from meta_rl.run.tracking import bounded, open_run, project


def log_evaluation(
    name: str,
    mode: str,
    output: Path,
    config: dict[str, Any],
    summary: pd.DataFrame,
    figure: Path,
    videos: Sequence[Path],
) -> str:
    """Send the mean returns, the figure and the videos to a run NAME-evaluation in the group NAME.

    Args:
        name: Name of the evaluated run.
        mode: W&B's mode, from `tracking.choose_mode`.
        output: Directory for W&B's own files.
        config: Configuration of the experiment and of the evaluation.
        summary: Columns mean and half_width, indexed by gradient step.
        figure: An image file.
        videos: MP4 files.

    Returns:
        Where the record is: an address, or `offline`.

    Raises:
        UserError: if W&B refuses.
    """
    import wandb
    from wandb.errors import Error as WandbError

    try:
        run = wandb.init(
            project=project(),
            id=secrets.token_hex(4),  # not the one that a sweep's agent gave to the training
            name=f"{name}-evaluation",
            group=name,
            job_type="evaluation",
            dir=output,
            mode=mode,  # type: ignore[arg-type]
            config=flatten(config),
            settings=bounded(),
            reinit="create_new" if open_run() else None,
        )
        with run:
            _log(run, summary, figure, videos)
            return run.url or "offline"
    except (WandbError, TimeoutError) as error:
        reason = one_line(error)
        raise UserError(
            f"W&B: {reason}; {output} is complete, WANDB_MODE=offline leaves the server out"
        ) from None


def _log(run: Any, summary: pd.DataFrame, figure: Path, videos: Sequence[Path]) -> None:
    import wandb

    run.define_metric("return_*", step_metric="gradient_step")
    for step, row in summary.iterrows():
        values = {"return_mean": row["mean"], "return_half_width": row["half_width"]}
        run.log({"gradient_step": step, **values})
    pictures = {"adaptation": wandb.Image(str(figure))}
    run.log(pictures | {f"video/{file.stem}": wandb.Video(str(file)) for file in videos})
