"""The line that shows how training goes."""

import logging
import math
import sys
import time
from datetime import timedelta
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

# Between two lines, where the output is no terminal: at least, and a share of the time so far.
SECONDS, SHARE = 10, 0.05


class Progress(ProgressBar):
    """Iteration, returns before and after adaptation, KL, speed, rejected outer steps and time left.

    Rejected steps are counted since this start, and shown if there are any.
    A bar in a terminal; plain lines now and then in a file or pipe, without control characters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.bar: tqdm | None = None

    def disable(self) -> None:
        self.enabled = False  # Lightning asks for it on all ranks but the first

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.first_step = self.printed_step = trainer.global_step
        self.start, self.printed = time.monotonic(), -math.inf
        self.rejected = 0
        if self.enabled and sys.stdout and sys.stdout.isatty():
            total = trainer.max_steps if trainer.max_steps > 0 else None
            bar = "{bar:12} {desc}" if total else "{desc}"
            self.bar = tqdm(
                total=total, initial=self.first_step, bar_format=bar, file=sys.stdout, dynamic_ncols=True
            )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.rejected += int(trainer.callback_metrics.get("outer_step_outcome", 0) > 0)
        if self.bar is not None:
            self.bar.set_description_str(self._describe(trainer), refresh=False)
            self.bar.update(trainer.global_step - self.bar.n)
        elif time.monotonic() > self.printed + max(SECONDS, SHARE * (self.printed - self.start)):
            self._print_line(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.bar is None:
            self._print_line(trainer)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _print_line(self, trainer: Trainer) -> None:
        if self.enabled and trainer.global_step > self.printed_step:
            self.printed, self.printed_step = time.monotonic(), trainer.global_step
            print(self._describe(trainer), flush=True)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _describe(self, trainer: Trainer) -> str:
        step, last = trainer.global_step, trainer.max_steps
        parts = [f"iteration {step}/{last}" if last > 0 else f"iteration {step}"]
        shown = {"return_pre": "pre {:.2f}", "return_post": "post {:.2f}", "kl": "kl {:.4f}"}
        shown["env_steps_per_s"] = "{:,.0f} env steps/s"
        metrics = trainer.callback_metrics
        parts += [text.format(metrics[name].item()) for name, text in shown.items() if name in metrics]
        if self.rejected:
            parts.append(f"{self.rejected} rejected")
        if last > 0 and step > self.first_step:
            left = (last - step) * (time.monotonic() - self.start) / (step - self.first_step)
            parts.append(f"{timedelta(seconds=round(left))} left")
        return "  ".join(parts)


class AboveTheBar(logging.Handler):
    """Prints log messages as lines of their own above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
