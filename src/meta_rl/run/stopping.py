"""Where a run stops: at the trainer's limits, or on a signal, on all ranks after the same iteration."""

import signal
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from meta_rl import ranks
from meta_rl.run.signals import install, leave


class GracefulStop(Callback):
    """On Ctrl-C, SIGTERM or a hang-up, ends the run after the current iteration.

    A second Ctrl-C ends it at once. It is enough if one of the ranks gets the signal.

    Attributes:
        signal: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._own = 0  # that came to this process

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # Lightning's handler speaks to the other ranks, which may not listen.
        install(leave)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def stop(number: int, _: Any) -> None:
            self._own = number
            signal.signal(signal.SIGINT, signal.default_int_handler)

        # The trainer restores the handlers that were there before it.
        install(stop)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        number = torch.tensor(self._own, device=trainer.strategy.root_device)
        self.signal = int(ranks.highest(number)) or None
        if self.signal is not None:
            trainer.should_stop = True
            trainer.fit_loop.min_epochs = None  # these would have the signal wait
            trainer.fit_loop.epoch_loop.min_steps = None


def reached(trainer: Trainer, checkpoint: dict[str, Any]) -> str | None:
    """The limit of the whole run that a checkpoint has come to, None if there is something left to train."""
    if 0 <= trainer.max_steps <= checkpoint["global_step"]:
        return f"trainer.max_steps={trainer.max_steps}"
    for timer in (c for c in trainer.callbacks if isinstance(c, Timer)):  # pyright: ignore[reportAttributeAccessIssue]
        timer.load_state_dict(checkpoint.get("callbacks", {}).get(timer.state_key, {}))
        left = timer.time_remaining()
        if left is not None and left <= 0:
            return "trainer.max_time"
    return None
