"""TensorBoard: event files in the run's directory, beside what W&B gets."""

from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from meta_rl.run.directory import TENSORBOARD


class TensorBoard(TensorBoardLogger):
    """The metrics of a run as scalars, by the names that they have in metrics.csv.

    Args:
        run: The run's directory.

    Raises:
        ValueError: if tensorboard is not installed.
    """

    def __init__(self, run: str | Path = ".") -> None:
        if find_spec("tensorboard") is None:
            remedy = "install it with: pip install 'meta_rl[tensorboard]'"
            raise ValueError(f"trainer.logger: there is no tensorboard; {remedy}")
        super().__init__(run, name="", version=TENSORBOARD, default_hp_metric=False)
