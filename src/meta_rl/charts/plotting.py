"""The figures of evaluate.py: adaptation curves of one policy, and a comparison of several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meta_rl.charts.looks import COLOURS, GREY, MARKERS, PUBLISHED_NAMES, PUBLISHED_STYLES, STYLE
from meta_rl.evaluation.statistics import summarise_adaptation, t_quantile

LEGEND_WIDTH = 28  # characters, of a legend beside the panels
Curves = Mapping[str, pd.DataFrame]  # by label: the columns of adaptation.csv, and `seed` for several runs


def plot_adaptation(curves: Curves, published: pd.DataFrame | None, path: str | Path) -> None:
    """Return against gradient steps: the mean with its 95 % interval over tasks, or over seeds.

    Args:
        curves: By label, the table of adaptation.csv; with a column `seed` the interval is over seeds.
        published: Published results to overlay: columns method, gradient_steps, mean_return, standard_error,
            tasks. None for none.
        path: The file to write. Its suffix decides the format.
    """
    figure, (axis,) = _panels(1)
    tables = {label: summarise_adaptation(frame) for label, frame in curves.items()}
    for i, (label, table) in enumerate(tables.items()):
        _curve(axis, table, label, COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)])
    last_step = max(map(len, tables.values())) - 1
    if published is not None:
        _overlay(axis, published.query("gradient_steps <= @last_step"))
    axis.set_ylabel("mean episode return")
    axis.set_xlabel("gradient steps")
    axis.set_xticks(range(last_step + 1))
    axis.legend(frameon=False, loc="best", fontsize="small")
    figure.savefig(path, dpi=150)


def plot_comparison(
    table: pd.DataFrame, returns: pd.DataFrame | None, scores: pd.DataFrame | None, path: str | Path
) -> None:
    """Return against gradient steps, and beside it the normalised score where the table has it.

    Args:
        table: The table of comparison.csv. A method that takes no gradient step, while others do, becomes a
            level.
        returns: Published returns to overlay, as in `plot_adaptation`; None for none.
        scores: Published normalised scores to overlay, in the same columns; None for none.
        path: The file to write. Its suffix decides the format.
    """
    panels = [("mean episode return", "mean", "high", returns)]
    if not table["normalised"].isna().to_numpy().all():
        title = "normalised score (random 0, oracle 1)"
        panels.append((title, "normalised", "normalised_high", scores))
    figure, axes = _panels(len(panels))
    last_step = table["gradient_step"].to_numpy().max()
    for axis, (title, middle, upper, published) in zip(axes, panels, strict=True):
        for i, (label, rows) in enumerate(table.groupby("method", sort=False)):
            mean, high = (rows.set_index("gradient_step")[column] for column in (middle, upper))
            curve = pd.DataFrame({"mean": mean, "half_width": high - mean})
            curve = curve.reindex(range(last_step + 1), method="ffill")
            marker = MARKERS[i % len(MARKERS)] if len(rows) == len(curve) else ""
            _curve(axis, curve, str(label), COLOURS[i % len(COLOURS)], marker=marker)
        if published is not None:
            _overlay(axis, published.query("gradient_steps <= @last_step"))
        axis.set_ylabel(title)
        axis.set_xlabel("gradient steps")
        axis.set_xticks(range(last_step + 1))
    handles, labels = axes[-1].get_legend_handles_labels()
    labels = [fill(label, LEGEND_WIDTH) for label in labels]
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize="small")
    figure.savefig(path, dpi=150)


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(1.5 + 4.5 * number, 4), layout="constrained")
    axes = figure.subplots(1, number, squeeze=False)[0]
    for axis in axes:
        axis.set_axisbelow(True)
        axis.grid(color="#E6E6E6", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curve(
    axis: Axes, table: pd.DataFrame, label: str, colour: str, marker: str = "", linestyle: str = "-"
) -> None:
    """A line with its band; where there is a single replicate the half width is NaN and the band missing."""
    axis.plot(table.index, table["mean"], linestyle, color=colour, marker=marker, label=label, **STYLE)
    low, high = table["mean"] - table["half_width"], table["mean"] + table["half_width"]
    axis.fill_between(table.index, low, high, color=colour, alpha=0.18, linewidth=0)


def _overlay(axis: Axes, published: pd.DataFrame) -> None:
    """Published curves with their 95 % intervals; what takes no gradient step becomes a level."""
    for method, table in published.groupby("method"):
        label = f"{PUBLISHED_NAMES.get(str(method), method)}, published"
        if len(table) == 1 and method == "oracle":
            axis.axhline(table["mean_return"].item(), color=GREY, linestyle=":", label=label)
            continue
        error = table["standard_error"] * t_quantile(table["tasks"].to_numpy() - 1)
        x, y = table["gradient_steps"], table["mean_return"]
        marker, dashes = PUBLISHED_STYLES.get(str(method), ("P", "--"))
        style = {"color": GREY, "linestyle": dashes, "marker": marker, **STYLE}
        axis.errorbar(x, y, error, capsize=2, label=label, **style)
