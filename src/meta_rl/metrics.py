"""What is logged of a meta-iteration."""

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from meta_rl import ranks
from meta_rl.types import Batch


def batch_metrics(batch: Batch, suffix: str) -> dict[str, float]:
    """Numbers of one phase: mean and spread over the tasks of all ranks, with the suffix `pre` or `post`."""
    by_task = torch.stack([batch.returns.mean(-1), batch.lengths.mean(-1), batch.explained_variance], 1)
    returns, lengths, explained = ranks.gather(by_task).unbind(1)
    steps = batch.lengths.sum()
    entropy, saturated, steps = ranks.mean(torch.stack([batch.entropy, batch.saturation * steps, steps]))
    return {
        f"return_{suffix}": float(returns.mean()),
        f"return_{suffix}_std": float(returns.std(correction=0)),
        f"episode_length_{suffix}": float(lengths.mean()),
        f"entropy_{suffix}": float(entropy),
        f"saturation_{suffix}": float(saturated / steps),
        f"explained_variance_{suffix}": float(explained.mean()),
    }


def peak_memory_mb() -> float:
    """Peak memory so far in MB: the GPU's where there is one in use, else the process's resident set."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return torch.cuda.max_memory_allocated() / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Stopwatch:
    """Adds up wall seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start
