"""Charts to files for papers and slides, and their panels to SVG for the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from io import StringIO
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from meta_rl.charts.chart import Chart, Kind, Panel, Series
from meta_rl.charts.looks import GREY, Look, legend, looks
from meta_rl.charts.panel import GRID, INK, handle, plot_panel

ROW = 4  # panels side by side at most
WIDTH, HEIGHT = 3.9, 3.2  # inches, of a panel
LINE = 0.21  # inches, of the legend
NAME = 40  # characters, of a name's line in the legend
# Names are data: a dollar sign in them begins no formula. The same input gives the same bytes.
RC: dict[Any, Any] = {
    "font.size": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.parse_math": False,
    "svg.fonttype": "none",
}
UNDATED: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".pdf": {"CreationDate": None}}

SIZE = (4.2, 3.1)  # inches: 302 units of the drawing, so that text is legible on a phone
MOST = 240  # rows of a line: no screen shows more of them
# What follows the page's light or dark mode.
THEME = {INK: "currentColor", GRID: "var(--grid)", GREY: "var(--published)", "#ffffff": "var(--paper)"}


def draw(chart: Chart, path: Path) -> None:
    """Write all panels of a chart to one figure with one legend. The same chart gives the same bytes.

    Args:
        chart: A chart of at least one panel.
        path: The file to write. Its suffix, .png or .pdf, decides the format.
    """
    with mpl.rc_context(RC):
        compose(chart)[0].savefig(path, dpi=150, metadata=UNDATED[path.suffix])


def compose(chart: Chart) -> tuple[Figure, list[Axes]]:
    """The matplotlib figure of a chart, and the axes of its panels."""
    styles = looks(chart)
    figure, axes = _grid(chart.panels)
    for axis, panel in zip(axes, chart.panels, strict=True):
        plot_panel(axis, panel, styles)
        axis.set_title(fill(panel.title, 42), fontsize=11)
        place = axis.get_subplotspec()
        if _common(chart.panels) and place and not place.is_first_col():
            axis.set_ylabel("")
    _add_legend(figure, chart, styles)
    return figure, axes


def shared_limits(chart: Chart) -> tuple[float, float] | None:
    """The limits of the y-axis if all panels of a chart share it, else None."""
    return compose(chart)[1][0].get_ylim() if _common(chart.panels) else None


def _common(panels: Sequence[Panel]) -> bool:
    return len({panel.y for panel in panels}) == 1


def _grid(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    rows = ceil(len(panels) / ROW)
    columns = ceil(len(panels) / rows)
    figure = Figure(figsize=(0.6 + WIDTH * columns, HEIGHT * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharey=_common(panels), squeeze=False).flat)
    for spare in axes[len(panels) :]:
        spare.remove()
    return figure, axes[: len(panels)]


def _add_legend(figure: Figure, chart: Chart, styles: Mapping[str, Look]) -> None:
    """Beside a single panel or below several, where it covers no data; the figure grows by what it needs."""
    if not styles:
        return
    handles = [handle(series.kind, styles[name]) for name, series in legend(chart).items()]
    # A legend would leave out a name that begins with an underscore.
    labels = [fill(f"\u200b{name}" if name.startswith("_") else name, NAME) for name in styles]
    lines = max(label.count("\n") + 1 for label in labels)
    entry = 0.65 + 0.08 * max(len(line) for label in labels for line in label.split("\n"))  # inches
    width, height = figure.get_size_inches()
    columns = 1 if len(chart.panels) == 1 else min(len(labels), max(1, int(width / entry)))
    needed = 0.2 + LINE * lines * ceil(len(labels) / columns)
    if len(chart.panels) == 1:
        figure.set_size_inches(width + entry, max(height, needed))
        place = "outside right upper"
    else:
        figure.set_size_inches(width, height + needed)
        place = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False, fontsize=9.5)


def panel_svg(
    panel: Panel, styles: Mapping[str, Look], label: str, limits: tuple[float, float] | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Draw a panel without title and legend, for the page.

    Args:
        panel: The data. A line of more than `MOST` rows is thinned to that many.
        styles: By the name of a series, its look; from `looks` of the whole chart.
        label: The text alternative (aria-label). Must be unique in the page: ids are derived from it.
        limits: Lower and upper end of the y-axis, where panels share it; None to fit the data.

    Returns:
        The SVG, and a dict for each series with data: `series`, its position in `styles`; `name`; `level`,
        whether it is a level; and `data`, for each point its position [x, y] in units of the SVG's view box,
        then x, y, interval and note as texts for the page.
    """
    panel = replace(panel, series=tuple(map(_thin, panel.series)))
    with mpl.rc_context(_settings(label)):
        figure = Figure(figsize=SIZE, dpi=72, layout="constrained")
        axis = figure.subplots()
        where = plot_panel(axis, panel, styles)
        if limits:
            axis.set_ylim(limits)
        svg = _inline(figure, label)
    order = list(styles)
    points = [
        {"series": order.index(s.name), "name": s.name, "level": s.kind == "level", "data": _data(axis, s, x)}
        for s, x in zip(panel.series, where.x, strict=True)
    ]
    return svg, [p for p in points if p["data"]]


@lru_cache(maxsize=256)
def swatch(kind: Kind, look: Look) -> str:
    """The symbol of a series in the page's legend, as SVG."""
    with mpl.rc_context(_settings(f"{kind} {look}")):
        figure = Figure(figsize=(0.4, 0.2), dpi=72)
        bare = {"loc": "center", "frameon": False, "borderpad": 0, "handlelength": 2.4, "handletextpad": 0}
        figure.add_artist(Legend(figure, [handle(kind, look)], [""], **bare))
        return _inline(figure, "")


def _settings(salt: str) -> dict[Any, Any]:
    """Ids in the SVG depend on `salt` only. The font only measures text: the page sets its own."""
    return RC | {"svg.hashsalt": salt, "font.sans-serif": ["DejaVu Sans"]}


def _thin(series: Series) -> Series:
    if series.kind != "line" or len(series.data) <= MOST:
        return series
    rows = np.linspace(0, len(series.data) - 1, MOST).round().astype(int)
    return replace(series, data=series.data.iloc[rows])


def _inline(figure: Figure, label: str) -> str:
    """The figure as SVG inside HTML: no prologue, no size but the view box, no id that nothing refers to."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    role = f'role="img" aria-label="{escape(label)}"' if label else 'aria-hidden="true"'
    box = re.search(r'viewBox="[^"]+"', svg)
    svg = re.sub(r"<svg[^>]*>", lambda _: f"<svg {box[0] if box else ''} {role}>", svg, count=1)
    svg = re.sub(r'<g id="series-(\d+)">', r'<g data-series="\1">', svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda m: re.sub(r"-?\d+\.\d+", _short, m[0]), svg)
    for colour, themed in THEME.items():
        svg = svg.replace(colour.lower(), themed)
    return re.sub(r"\s*\n\s*", " ", svg)


def _short(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _data(axis: Axes, series: Series, x: np.ndarray) -> list[list[Any]]:
    """Positions and texts of the points that are drawn."""
    found = []
    height = axis.get_figure(root=True).bbox.height  # type: ignore[union-attr]
    for at, row in zip(x, series.data.to_dict("records"), strict=True):
        across, up = axis.transData.transform((at, row["y"]))
        if series.kind == "level":
            across, row["x"] = (axis.bbox.x0 + axis.bbox.x1) / 2, ""
        if np.isfinite([across, up]).all():
            interval = f"{_number(row['low'])} to {_number(row['high'])}" if pd.notna(row["low"]) else ""
            texts = [_number(row["x"]), _number(row["y"]), interval, str(row.get("note", "") or "")]
            found.append([round(float(across), 1), round(float(height - up), 1), *texts])
    return found[:1] if series.kind == "level" else found


def _number(value: Any) -> str:
    """Four significant digits; from 1000 on a whole number with separators: 12,345."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
