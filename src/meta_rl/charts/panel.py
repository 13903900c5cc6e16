"""A panel on a pair of matplotlib axes: where its data stand, and how each kind of series is drawn."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from meta_rl.charts.chart import Kind, Panel, Series
from meta_rl.charts.looks import STYLE, Look

GRID, INK = "#E6E6E6", "#000000"
BAND = 0.16  # opacity
ALL_MARKED = 12  # rows; a longer line has this many markers along it
LABEL = 38  # characters, of an axis label's line

FILLED = 0.8  # of the room that a category or a bar has


class Places(NamedTuple):
    """Positions on the x-axis, in data coordinates.

    Attributes:
        x: For each series of the panel, the positions [rows] of its data.
        width: Width of a bar.
        categories: Names of the categories, which stand at 0, 1, 2, ...; empty on a numeric axis.
    """

    x: list[NDArray[np.float64]]
    width: float
    categories: list[str]


class Rows(NamedTuple):
    """The columns of a series as numbers, the width of a bar, and the position of the series in its panel."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    width: float
    place: int


def plot_panel(axis: Axes, panel: Panel, styles: Mapping[str, Look]) -> Places:
    """Draw everything but the title.

    Artists get the group id `series-I`, with I the position of their series in `styles`.

    Args:
        axis: The axes to draw on.
        panel: The data.
        styles: By the name of a series, its look; from `looks`.

    Returns:
        Where on the x-axis the data stand.
    """
    where, order = places(panel), list(styles)
    for place, (series, x) in enumerate(zip(panel.series, where.x, strict=True)):
        y, low, high = (series.data[column].to_numpy(float) for column in ("y", "low", "high"))
        rows = Rows(x, y, low, high, where.width, place)
        for artist in DRAW[series.kind](axis, rows, styles[series.name]) if len(y) else ():
            artist.set_gid(f"series-{order.index(series.name)}")
    if not any(len(series.data) for series in panel.series):
        axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", va="center")
    _prepare(axis, panel, where)
    return where


def handle(kind: Kind, look: Look) -> Artist:
    """The symbol of a series in a legend."""
    if kind == "bars":
        return Patch(**_bar(look))
    style = _line(look)
    if kind == "level":
        style["marker"] = ""
    return Line2D([], [], **(_dots(look) if kind == "points" else style))


def _draw_line(axis: Axes, rows: Rows, look: Look) -> list[Artist]:
    n, step = len(rows.y), max(1, len(rows.y) // ALL_MARKED)
    first = rows.place * step // 4 % step if n > ALL_MARKED else 0  # the markers of two lines seldom meet
    lines = axis.plot(rows.x, rows.y, markevery=(first, step), **_line(look))
    if n == 1:
        return [*lines, _interval(axis, rows, look.colour)]
    colour = {"color": look.colour, "alpha": BAND, "linewidth": 0, "zorder": 1.5}
    return [*lines, axis.fill_between(rows.x, rows.low, rows.high, **colour)]


def _draw_level(axis: Axes, rows: Rows, look: Look) -> list[Artist]:
    style = {**_line(look), "marker": ""}
    artists: list[Artist] = [axis.axhline(rows.y[0], **style)]
    if np.isfinite([rows.low[0], rows.high[0]]).all():
        artists.append(axis.axhspan(rows.low[0], rows.high[0], color=look.colour, alpha=BAND, linewidth=0))
    return artists


def _draw_points(axis: Axes, rows: Rows, look: Look) -> list[Artist]:
    points = axis.plot(rows.x, rows.y, **_dots(look))
    return [*points, _interval(axis, rows, look.colour)]


def _draw_bars(axis: Axes, rows: Rows, look: Look) -> list[Artist]:
    bars = axis.bar(rows.x, rows.y, rows.width * 0.84, **_bar(look))
    return [*bars, _interval(axis, rows, INK)]


DRAW = {"line": _draw_line, "level": _draw_level, "points": _draw_points, "bars": _draw_bars}


def _interval(axis: Axes, rows: Rows, colour: str) -> Artist:
    known = np.isfinite(rows.low) & np.isfinite(rows.high)
    x, low, high = (column[known] for column in (rows.x, rows.low, rows.high))
    return axis.vlines(x, low, high, color=colour, linewidth=1.4, zorder=2.5)


def _line(look: Look) -> dict[str, Any]:
    fill_style = "none" if look.hollow else "full"
    shape = {"color": look.colour, "marker": look.marker, "fillstyle": fill_style}
    return {**STYLE, **shape, "linestyle": look.dashes, "zorder": 2}


def _dots(look: Look) -> dict[str, Any]:
    """A light edge parts them from a bar or from each other; strokes like x and + have none."""
    edge = {} if look.hollow or look.marker in "x+" else {"markeredgecolor": "white", "markeredgewidth": 0.7}
    return {**_line(look), **edge, "markersize": 6.5, "linestyle": "", "zorder": 3}


def _bar(look: Look) -> dict[str, Any]:
    inside = "none" if look.hollow else look.colour
    return {"facecolor": inside, "edgecolor": look.colour, "linestyle": "--" if look.hollow else "-"}


def _prepare(axis: Axes, panel: Panel, where: Places) -> None:
    """Labels, ticks and grid. Large numbers get a prefix: 2M is 2 million."""
    axis.set_xlabel(fill(panel.x, LABEL))
    axis.set_ylabel(fill(panel.y, LABEL))
    axis.set_axisbelow(True)
    axis.grid(color=GRID, linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    numbers = np.concatenate([np.zeros(0), *where.x])
    if where.categories:
        _name_categories(axis, where.categories)
    elif panel.scale == "log":
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    elif (numbers == numbers.round()).all():
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if panel.scale == "linear" and np.abs(numbers).max(initial=0) >= 10_000:
        axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    if np.abs(axis.get_ylim()).max() >= 10_000:
        axis.yaxis.set_major_formatter(EngFormatter(sep=""))


def _name_categories(axis: Axes, names: list[str]) -> None:
    labels = [fill(name, 14) for name in names]
    crowded = max(len(line) for label in labels for line in label.split("\n")) * len(names) > 40
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axis.set_xticks(range(len(names)), labels, **turned)
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.grid(visible=False, axis="x")


def places(panel: Panel) -> Places:
    """Where the data of all series stand. The positions of a level are 0 and without meaning."""
    if panel.scale != "category":
        x = [_zeros(s) if s.kind == "level" else s.data["x"].to_numpy(float) for s in panel.series]
        return Places(x, FILLED * _smallest_gap(panel, x), [])
    names = [s.data["x"].astype(str).tolist() if s.kind != "level" else [] for s in panel.series]
    categories = list(dict.fromkeys(name for column in names for name in column))
    slots = {name: _slots(panel, names, name) for name in categories}
    width = FILLED / max([len(s) for s in slots.values()] + [1])
    x = []
    for series, column in zip(panel.series, names, strict=True):
        slot = _slot(series, panel)
        at = [categories.index(name) + width * _offset(slots[name], slot) for name in column]
        x.append(np.array(at, float) if series.kind != "level" else _zeros(series))
    return Places(x, width, categories)


def _zeros(series: Series) -> NDArray[np.float64]:
    return np.zeros(len(series.data))


def _slots(panel: Panel, names: list[list[str]], category: str) -> list[str]:
    """What stands side by side in a category, from left to right."""
    inside = [_slot(s, panel) for s, column in zip(panel.series, names, strict=True) if category in column]
    return [slot for slot in dict.fromkeys(inside) if slot]


def _slot(series: Series, panel: Panel) -> str:
    """A series has a slot of its own, but points stand on the bar of the same look; lines need no room."""
    if series.kind in ("line", "level"):
        return ""
    bars = [s for s in panel.series if s.kind == "bars" and s.look and s.look == series.look]
    same = [s.name for s in bars if s.dashed == series.dashed]
    return same[0] if series.kind == "points" and same else series.name


def _offset(slots: list[str], slot: str) -> float:
    return slots.index(slot) - (len(slots) - 1) / 2 if slot else 0.0


def _smallest_gap(panel: Panel, x: list[NDArray[np.float64]]) -> float:
    bars = [column for s, column in zip(panel.series, x, strict=True) if s.kind == "bars"]
    gaps = np.diff(np.unique(np.concatenate(bars))) if bars else np.array([])
    return float(gaps.min()) if gaps.size else 1.0
