"""Medians, paired ratios, tables and figures of `first_vs_second_order.py`, from what it measured."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from meta_rl.charts.chart import Chart, Panel, Series
from meta_rl.charts.draw import draw

CASE = ["family", "inner_steps", "tasks", "episodes"]
PARTS = {
    "gradient": "meta-gradient alone",
    "step": "whole optimisation step",
    "iteration": "whole iteration with sampling",
}
FAMILIES = {"point_mass": "Point mass", "ant": "Ant"}
CAPTION = (
    "Medians of {rounds} interleaved rounds, one meta-iteration of each algorithm from the same parameters, "
    "tasks and first episodes, with 95 % intervals of the medians. Memory: what two iterations add at their "
    "peak to the resident set of a process of their own."
)


def low(values: pd.Series) -> float:
    """Lower end of the median's interval, at 95 % or a little more; NaN for less than 6 values.

    By order statistics, which assume no distribution: fewer than k of n values lie below the median with a
    probability of at most 2.5 %.
    """
    k = int(binom.ppf(0.025, len(values), 0.5))
    return float(np.sort(values)[k - 1]) if k > 0 else np.nan


def high(values: pd.Series) -> float:
    """Upper end of that interval."""
    return -low(-values)


def summarise(rounds: pd.DataFrame, memory: pd.DataFrame) -> pd.DataFrame:
    """A row for each case, algorithm and part.

    Returns:
        Columns peak_mb, added_mb: peak memory, and that above the start; seconds, low, high: the median and
        its interval; ratio, ratio_low, ratio_high: of MAML to this algorithm, paired by round.
    """
    keys = [*CASE, "part", "round"]
    maml = rounds.query("algorithm == 'MAML'").set_index(keys).seconds.rename("maml")
    rounds = rounds.assign(ratio=rounds.join(maml, on=keys).maml / rounds.seconds)
    summary = rounds.groupby([*CASE, "algorithm", "part"], sort=False).agg(
        seconds=("seconds", "median"),
        low=("seconds", low),
        high=("seconds", high),
        ratio=("ratio", "median"),
        ratio_low=("ratio", low),
        ratio_high=("ratio", high),
    )
    memory = memory.assign(added_mb=memory.peak_mb - memory.start_mb).drop(columns="start_mb")
    return memory.merge(summary.reset_index(), on=[*CASE, "algorithm"])  # in the order of the memory's rows


def bars(chosen: pd.DataFrame, category: pd.Series, columns: list[str]) -> tuple[Series, ...]:
    """A series for each algorithm, at the categories in the order of the rows."""
    data = chosen[columns].set_axis(["y", "low", "high"], axis=1).assign(x=category, note="")
    return tuple(
        Series(name, data.loc[chosen.algorithm == name].reset_index(drop=True), "bars")
        for name in chosen.algorithm.unique()
    )


def panels(rows: pd.DataFrame, x: str, category: pd.Series) -> list[Panel]:
    """The panels of one family: one for each part, and one for memory."""
    family = FAMILIES[rows.family.iloc[0]]
    found = []
    for part, heading in PARTS.items():
        series = bars(rows.query("part == @part"), category, ["seconds", "low", "high"])
        found.append(Panel(f"{family}: {heading}", x, f"{part} (s)", series, "category"))
    whole = rows.query("part == 'iteration'").assign(low=np.nan, high=np.nan)
    series = bars(whole, category, ["added_mb", "low", "high"])
    return [*found, Panel(f"{family}: peak memory above the start", x, "memory (MB)", series, "category")]


def charts(summary: pd.DataFrame, rounds: int) -> list[Chart]:
    """Over the inner steps at the largest batch, and over the batches at the fewest inner steps."""
    caption = CAPTION.format(rounds=rounds)
    inner, batches = [], []
    for _, rows in summary.groupby("family", sort=False):
        largest, fewest = _largest(rows), rows.query("inner_steps == inner_steps.min()")
        size, steps = _batch(largest).iloc[0], rows.inner_steps.min()
        inner += panels(largest, f"inner steps ({size} episodes)", largest.inner_steps.astype(str))
        batches += panels(fewest, f"tasks x episodes (inner steps: {steps})", _batch(fewest))
    return [
        Chart("timing_inner_steps", "Second against first order, by inner steps", caption, tuple(inner)),
        Chart("timing_batch", "Second against first order, by batch size", caption, tuple(batches)),
    ]


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.query("tasks == tasks.max() and episodes == episodes.max()")


def _batch(rows: pd.DataFrame) -> pd.Series:
    return rows.tasks.astype(str) + " x " + rows.episodes.astype(str)


def table(summary: pd.DataFrame) -> str:
    """A line for each case and algorithm: seconds, and how many times as long MAML takes."""
    lines = [f"{'':42}" + "".join(f"{heading:<31}" for heading in PARTS.values()) + "peak memory"]
    unit = f"{'s':>9} {'MAML takes, times':>20} "
    lines.append(f"{'family':<11} steps tasks x episodes{'':9}{unit * len(PARTS)} MB (above start)")
    for (family, steps, tasks, episodes, name), rows in summary.groupby([*CASE, "algorithm"], sort=False):  # pyright: ignore[reportGeneralTypeIssues]
        line = f"{family:<11} {steps:>5} {tasks:>5} x {episodes:<8} {name:<8}"
        for part in PARTS:
            row = rows[rows.part == part].iloc[0]
            line += f"{row.seconds:9.4f} {'' if name == 'MAML' else times(row):>20} "
        lines.append(f"{line} {rows.peak_mb.iloc[0]:6,.0f} ({rows.added_mb.iloc[0]:,.0f})")
    return "\n".join(lines)


def times(row: pd.Series) -> str:
    """A ratio, with its interval where there is one."""
    interval = "" if pd.isna(row.ratio_low) else f" ({row.ratio_low:.3g} to {row.ratio_high:.3g})"
    return f"{row.ratio:.3g}{interval}"


def sentence(summary: pd.DataFrame, family: str) -> str:
    """In words, of the family's largest batch at the fewest inner steps."""
    rows = _largest(summary.query("family == @family"))
    steps, size = rows.inner_steps.min(), _batch(rows).iloc[0]
    rows = rows[rows.inner_steps == steps].set_index(["algorithm", "part"])
    memory = rows.peak_mb.xs("iteration", level="part")
    said = [f"{FAMILIES[family]}, {size} episodes, inner steps: {steps}:"]
    for other in ("FOMAML", "Reptile"):
        gradient, step, iteration = (times(rows.loc[(other, part)]) for part in PARTS)
        said.append(f"MAML's optimisation step takes {step} times {other}'s, an iteration {iteration} times,")
        said.append(f"the meta-gradient alone {gradient} times;")
        said.append(f"its peak memory is {memory['MAML'] / memory[other]:.2f} times {other}'s.")
    return " ".join(said)


def write_report(folder: Path) -> None:
    """summary.csv and figures from rounds.csv and memory.csv; print table and findings."""
    rounds = pd.read_csv(folder / "rounds.csv")
    summary = summarise(rounds, pd.read_csv(folder / "memory.csv"))
    summary.to_csv(folder / "summary.csv", index=False, float_format="%.6g")
    for figure in charts(summary, len(rounds["round"].unique())):
        draw(figure, folder / f"{figure.key}.png")
    print(table(summary), "", *(sentence(summary, name) for name in summary.family.unique()), sep="\n")
