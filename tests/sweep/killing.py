"""A learner that ends its process and the agent that started it, as a machine does that goes down."""

import os
import signal

from meta_rl.algorithms import FOMAML
from meta_rl.types import MetaBatch


class KillsItsAgent(FOMAML):
    """In its third iteration, unless it goes on from there."""

    started_anew = True

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.started_anew = False

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        if batch.iteration == 2 and self.started_anew:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        super().training_step(batch, batch_idx)
