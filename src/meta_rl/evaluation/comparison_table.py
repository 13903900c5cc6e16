"""comparison.csv: returns of several methods with their intervals, and normalised scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from meta_rl.evaluation.statistics import normalised_scores, summarise_adaptation

Frames = Mapping[str, pd.DataFrame]  # by method: the table of adaptation.csv


class Scale(NamedTuple):
    """Returns without adaptation on each task, of the policies whose scores are 0 and 1."""

    random: np.ndarray  # [N]
    oracle: np.ndarray  # [N]


def comparison_table(frames: Frames, scale: Scale | None) -> pd.DataFrame:
    """The table of comparison.csv: one row for each method and gradient step.

    Columns: method, gradient_step; mean, low and high of the return, with its 95 % t-interval over tasks;
    tasks, episodes; normalised, normalised_low, normalised_high: the same of the score, NaN without `scale`.
    """
    parts = []
    for label, frame in frames.items():
        frame = frame.astype({"return_mean": float})  # was float32
        returns = summarise_adaptation(frame)
        scores = pd.DataFrame(index=returns.index, columns=["mean", "half_width"], dtype=float)
        if scale is not None:
            by_task = frame.pivot(index="task", columns="gradient_step", values="return_mean")
            scores = normalised_scores(by_task, *scale)
        columns = {
            "method": label,
            "gradient_step": returns.index,
            "mean": returns["mean"],
            "low": returns["mean"] - returns["half_width"],
            "high": returns["mean"] + returns["half_width"],
            "tasks": returns["n"],
            "episodes": frame["episodes"].iloc[0],
            "normalised": scores["mean"],
            "normalised_low": scores["mean"] - scores["half_width"],
            "normalised_high": scores["mean"] + scores["half_width"],
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def as_text(table: pd.DataFrame) -> str:
    """comparison.csv as text, with half widths; `-` where there is no number."""
    rows = [["method", "step", "mean return", "± 95 %", "normalised", "± 95 %"]]
    for row in table.to_dict("records"):
        numbers = [row["mean"], row["high"] - row["mean"]]
        scores = [row["normalised"], row["normalised_high"] - row["normalised"]]
        cells = [f"{x:.2f}" for x in numbers] + [f"{x:.3f}" for x in scores]
        rows.append([row["method"], str(row["gradient_step"]), *(c.replace("nan", "-") for c in cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
