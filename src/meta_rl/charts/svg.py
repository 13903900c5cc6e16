"""A panel as SVG inside the page, with the positions of its data for hovering and for the keyboard."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from meta_rl.charts.draw import RC
from meta_rl.charts.panel import GRID, INK, handle, plot_panel
from meta_rl.charts.plotting import GREY
from meta_rl.report.looks import Look
from meta_rl.report.model import Kind, Panel, Series

SIZE = (4.2, 3.1)  # inches: 302 units of the drawing, so that text is legible on a phone
MOST = 240  # rows of a line: no screen shows more of them
# What follows the page's light or dark mode.
THEME = {INK: "currentColor", GRID: "var(--grid)", GREY: "var(--published)", "#ffffff": "var(--paper)"}


def panel_svg(
    panel: Panel, styles: Mapping[str, Look], label: str, limits: tuple[float, float] | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Draw a panel without title and legend.

    Args:
        panel: What to draw; of a line with very many rows, some.
        styles: Of the chart, from `looks`.
        label: The text alternative; unique in the page.
        limits: Of the y-axis, where panels share it.

    Returns:
        The SVG, and for each series with data: its place in `styles`, its name, whether it is a level, and
        for each datum the position in the SVG's units, then x, y, interval and note as the page shows them.
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
    """What stands for a series in the page's legend, as SVG."""
    with mpl.rc_context(_settings(f"{kind} {look}")):
        figure = Figure(figsize=(0.4, 0.2), dpi=72)
        bare = {"loc": "center", "frameon": False, "borderpad": 0, "handlelength": 2.4, "handletextpad": 0}
        figure.add_artist(Legend(figure, [handle(kind, look)], [""], **bare))
        return _inline(figure, "")


def _settings(salt: str) -> dict[Any, Any]:
    """Ids depend on the salt alone. The font only measures: the page sets its own, and few are wider."""
    return RC | {"svg.hashsalt": salt, "font.sans-serif": ["DejaVu Sans"]}


def _thin(series: Series) -> Series:
    if series.kind != "line" or len(series.data) <= MOST:
        return series
    rows = np.linspace(0, len(series.data) - 1, MOST).round().astype(int)
    return replace(series, data=series.data.iloc[rows])


def _inline(figure: Figure, label: str) -> str:
    """SVG to stand in HTML: no prologue, no size but the view box, no id that nothing refers to."""
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
    """Positions and texts of the data that can be seen."""
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
    """Four digits, with separators where there are more before the point: 12,345."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
