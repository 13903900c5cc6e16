"""A few iterations of training with nothing but what is measured."""

import logging
import warnings

import lightning as L
import torch

from meta_rl import threads


def set_up(number: int, matmul_precision: str) -> None:
    """So many threads, products as precise as asked for, and no word from Lightning."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    threads.use(number)
    torch.set_float32_matmul_precision(matmul_precision)


def train(
    learner: L.LightningModule, datamodule: L.LightningDataModule, iterations: int, callback: L.Callback
) -> None:
    """Train on the CPU without logger, checkpoints and progress."""
    trainer = L.Trainer(
        max_steps=iterations,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    )
    trainer.fit(learner, datamodule=datamodule)
