"""Normalised scores: 0 is the return of the random policy without adaptation, and 1 that of the oracle."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from meta_rl.evaluation.statistics import t_quantile

ENDS = ("random", "oracle")  # the methods whose scores are 0 and 1, which have no verdict themselves


@dataclass(frozen=True)
class ScoreRange:
    """The mean returns without adaptation that count as scores 0 and 1.

    Attributes:
        random: Return of the random policy, score 0.
        oracle: Return of the oracle, score 1; higher than `random`.
    """

    random: float
    oracle: float

    @classmethod
    def published(cls, returns: pd.DataFrame) -> "ScoreRange":
        """That of published returns: columns method, gradient_steps, mean_return."""
        rows = returns.query("gradient_steps == 0")
        unadapted = dict(zip(rows["method"], rows["mean_return"].to_numpy(float), strict=True))
        return cls(*(unadapted[method] for method in ENDS))

    def normalise(self, returns: np.ndarray) -> np.ndarray:
        """(return - random's) / (oracle's - random's), for returns of any shape."""
        return (returns - self.random) / (self.oracle - self.random)


def normalised_scores(returns: pd.DataFrame, random: np.ndarray, oracle: np.ndarray) -> pd.DataFrame:
    """(mean return - random's) / (oracle's - random's), with the half width of its 95 % interval over tasks.

    Numerator and denominator are means over the same tasks, so what makes a task hard for everyone largely
    cancels. The interval is that of a ratio of means, linearised (Cochran 1977, chapter 6).

    Args:
        returns: Mean return of every task (rows) after every gradient step (columns).
        random: [N] return of the random policy on each task.
        oracle: [N] return of the oracle on each task; higher than random's on average.

    Returns:
        One row for each gradient step (the index), with the columns mean and half_width.
    """
    gain, gap = returns.sub(random, axis=0), oracle - random
    score = gain.mean() / gap.mean()
    residual = gain - np.outer(gap, score)
    error = residual.std() / np.sqrt(len(gap)) / gap.mean()
    return pd.DataFrame({"mean": score, "half_width": t_quantile(len(gap) - 1) * error})
