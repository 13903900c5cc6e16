"""Stopping on a signal: after the current iteration, and on all ranks after the same one."""

import signal
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from meta_rl import ranks
from meta_rl.run.signals import leave


class GracefulStop(Callback):
    """On Ctrl-C or SIGTERM, ends the run after the current iteration. A second Ctrl-C ends it at once.

    It is enough if one of the ranks gets the signal.

    Attributes:
        signal: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._own = 0  # that came to this process

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Lightning's handler speaks to the other ranks, which may not listen.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, leave)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def stop(number: int, _: Any) -> None:
            self._own = number
            signal.signal(signal.SIGINT, signal.default_int_handler)

        # The trainer restores the handlers that were there before it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        number = torch.tensor(self._own, device=trainer.strategy.root_device)
        self.signal = int(ranks.highest(number)) or None
        if self.signal is not None:
            trainer.should_stop = True
