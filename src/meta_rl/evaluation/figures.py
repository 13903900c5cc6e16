"""The figures of evaluate.py: adaptation curves of one policy, and a comparison of several."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from meta_rl.charts.chart import Chart, Panel, Series, series_data
from meta_rl.charts.draw import draw
from meta_rl.evaluation.statistics import summarise_adaptation, t_quantile

STEPS, RETURN = "gradient steps", "mean episode return"
SCORE = "normalised score (random 0, oracle 1)"
CAPTION = "Mean with its 95 % interval over tasks, or over seeds where there are several. Grey: published."
PUBLISHED_NAMES = {"maml": "MAML", "maml_batch20": "MAML with 20 episodes"}  # in legends, where they differ
Curves = Mapping[str, pd.DataFrame]  # by label: the columns of adaptation.csv, and `seed` for several runs


def plot_adaptation(curves: Curves, published: pd.DataFrame | None, path: Path) -> None:
    """Draw `adaptation_chart` to a file, whose suffix decides the format."""
    draw(adaptation_chart(curves, published), path)


def plot_comparison(
    table: pd.DataFrame, returns: pd.DataFrame | None, scores: pd.DataFrame | None, path: Path
) -> None:
    """Draw `comparison_chart` to a file, whose suffix decides the format."""
    draw(comparison_chart(table, returns, scores), path)


def adaptation_chart(curves: Curves, published: pd.DataFrame | None) -> Chart:
    """Return against gradient steps: the mean with its 95 % interval over tasks, or over seeds.

    Args:
        curves: By label, the table of adaptation.csv; with a column `seed` the interval is over seeds.
        published: Published results to overlay: columns method, gradient_steps, mean_return, standard_error,
            tasks. None for none.
    """
    tables = {label: summarise_adaptation(frame) for label, frame in curves.items()}
    series = [
        _curve(label, t.assign(low=t["mean"] - t["half_width"], high=t["mean"] + t["half_width"]))
        for label, t in tables.items()
    ]
    last = max(map(len, tables.values())) - 1
    panel = Panel("", STEPS, RETURN, (*series, *published_series(published, last)))
    return Chart("adaptation", "Adaptation to unseen tasks", CAPTION, (panel,))


def comparison_chart(table: pd.DataFrame, returns: pd.DataFrame | None, scores: pd.DataFrame | None) -> Chart:
    """Return against gradient steps, and beside it the normalised score where the table has it.

    Args:
        table: The table of comparison.csv. A method that takes no gradient step becomes a level.
        returns: Published returns to overlay, as in `adaptation_chart`; None for none.
        scores: Published normalised scores to overlay, in the same columns; None for none.
    """
    wanted = [(RETURN, ("mean", "low", "high"), returns)]
    if not table["normalised"].isna().to_numpy().all():
        wanted.append((SCORE, ("normalised", "normalised_low", "normalised_high"), scores))
    last = int(table["gradient_step"].to_numpy().max())
    panels = []
    for label, columns, published in wanted:
        rows = table.set_index("gradient_step").groupby("method", sort=False)
        series = [_curve(str(method), own, *columns) for method, own in rows]
        panels.append(Panel("", STEPS, label, (*series, *published_series(published, last))))
    return Chart("comparison", "Adaptation to the same unseen tasks", CAPTION, tuple(panels))


def _curve(
    name: str, table: pd.DataFrame, mean: str = "mean", low: str = "low", high: str = "high"
) -> Series:
    """The columns of a table against its index, the gradient steps."""
    ends = (table[column].to_numpy(float) for column in (mean, low, high))
    kind = "line" if len(table) > 1 else "level"
    return Series(name, series_data(table.index.to_numpy(float), *ends), kind)


def published_series(published: pd.DataFrame | None, last: int) -> tuple[Series, ...]:
    """Published curves up to gradient step `last`, with 95 % t-intervals over tasks; the oracle is a level.

    Args:
        published: Columns method, gradient_steps, mean_return, standard_error, tasks; None for no curve.
        last: The last gradient step to show.
    """
    if published is None:
        return ()
    found = []
    for method, rows in published.query("gradient_steps <= @last").groupby("method"):
        half_width = rows["standard_error"] * t_quantile(rows["tasks"].to_numpy() - 1)
        x, y = rows["gradient_steps"].astype(float), rows["mean_return"]
        name = f"{PUBLISHED_NAMES.get(str(method), method)}, published"
        data = series_data(x, y, y - half_width, y + half_width, "published")
        found.append(Series(name, data, "level" if method == "oracle" else "line"))
    return tuple(found)
