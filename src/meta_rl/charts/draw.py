"""A chart as a Vega-Lite specification: the figure on a page, and the source of SVG, PNG and PDF."""

import re
import warnings
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert as vlc
from PIL import Image

from meta_rl.charts.chart import Chart, Panel
from meta_rl.charts.looks import Look, looks

INK, PAPER, GRID = "#1c2024", "#ffffff", "#e6e6e6"  # the page has others in dark mode
WIDTH, HEIGHT = 300, 230  # pixels, of a panel without its labels
ROW = 3  # panels side by side at most
LETTER = 6.5  # pixels, about the width of one in a legend
MARKED = 12  # rows; a longer line has about so many markers along it
BAND = 0.16  # opacity
KNOWN = "isValid(datum.low)"  # rows with an interval
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # the first comes with vl-convert: the same everywhere
CONFIG: dict[str, Any] = {
    "background": PAPER,
    "font": FONT,
    "view": {"stroke": None},
    "style": {
        "guide-label": {"fill": INK, "fontSize": 12},
        "guide-title": {"fill": INK, "fontSize": 12, "fontWeight": "normal"},
        "group-title": {"fill": INK, "fontSize": 13},
    },
    "axis": {"gridColor": GRID, "domainColor": INK, "tickColor": INK, "labelLimit": 0},
    "legend": {"labelLimit": 0, "symbolSize": 90, "symbolStrokeWidth": 2},
    "mark": {"aria": False},  # the page has the values as a table
}


def draw(chart: Chart, *paths: Path) -> None:
    """Write a chart to files. The same chart gives the same bytes.

    Args:
        chart: A chart of at least one panel.
        paths: The files; their suffixes, .svg, .png or .pdf, decide the formats.
    """
    ids: dict[str, str] = {}  # Vega counts on from figure to figure
    drawn = vlc.vegalite_to_svg(specification(chart))
    svg = re.sub(r'(?<=id=")clip\d+|(?<=#)clip\d+', lambda m: ids.setdefault(m[0], f"clip{len(ids)}"), drawn)
    for path in paths:
        if path.suffix == ".svg":
            path.write_text(svg, encoding="utf-8")
        elif path.suffix == ".pdf":
            path.write_bytes(vlc.svg_to_pdf(svg))
        else:
            picture = Image.open(BytesIO(vlc.svg_to_png(svg, scale=2))).convert("RGB")
            # A seventh of the size, and the eye sees no difference.
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def specification(chart: Chart) -> dict[str, Any]:
    """The Vega-Lite specification of a chart, data included: panels in rows above one legend.

    A click on a name in the legend brings out its series; a panel with numbers on its x-axis can be dragged,
    and zoomed by wheel while Shift is down. Panels share the y-axis if all its labels are the same.
    """
    pick = alt.selection_point("pick", fields=["series"], bind="legend")
    faded = alt.when(pick).then(alt.value(1)).otherwise(alt.value(0.08))
    common = len({panel.y for panel in chart.panels}) == 1
    limits = _limits(chart.panels) if common else None
    columns = 2 if len(chart.panels) == 4 else min(ROW, len(chart.panels))
    channels = {**_channels(looks(chart), columns * WIDTH), "opacity": faded}
    panels = [_panel(panel, f"panel{i}", channels, limits) for i, panel in enumerate(chart.panels)]
    with warnings.catch_warnings(), alt.data_transformers.enable("default", max_rows=None):
        warnings.filterwarnings("ignore", "Automatically deduplicated")  # one selection, in every panel
        figure = alt.concat(*panels, columns=columns, spacing=28, config=CONFIG).add_params(pick)
        return figure.properties(description=f"{chart.title}. {chart.caption}").to_dict()


def _panel(panel: Panel, name: str, channels: dict[str, Any], limits: list[float] | None) -> Any:
    """The layers of each kind of series; the first one can be dragged and zoomed."""
    rows = _rows(panel)
    if rows.empty:
        nothing = alt.Chart(pd.DataFrame({"text": ["no data"]})).mark_text(color=INK)
        return alt.layer(nothing.encode(text="text:N"), width=WIDTH, height=HEIGHT)
    common = {name: channels[name] for name in ("color", "opacity")}
    common |= {"y": _y(panel, rows, limits), "tooltip": _tooltip(panel)}
    layers = []
    for kind in (kind for kind in LAYERS if kind in set(rows["kind"])):
        own = rows.query("kind == @kind")
        x: dict[str, Any] = {} if kind == "level" else {"x": _x(panel, rows)}
        base = alt.Chart(own.drop(columns="kind")).encode(**common, **x)
        layers += LAYERS[kind](base, own, channels)
    layers[0] = layers[0].properties(name=name)
    if panel.scale != "category" and set(rows["kind"]) != {"level"}:
        zoom = alt.selection_interval(bind="scales", name=f"zoom_{name}", zoom="wheel![event.shiftKey]")
        layers[0] = layers[0].add_params(zoom)
    return alt.layer(*layers, title=wrap(panel.title, 42), width=WIDTH, height=HEIGHT)


def _rows(panel: Panel) -> pd.DataFrame:
    """All data of a panel with the name and the kind of their series; a single point makes no line."""
    frames = []
    for series in panel.series:
        kind = "points" if series.kind == "line" and len(series.data) == 1 else series.kind
        frames.append(series.data.assign(series=series.name, kind=kind))
    rows = pd.concat(frames) if frames else pd.DataFrame(columns=["x", "y", "kind"])
    return rows.loc[np.isfinite(rows["y"].to_numpy(float))]


def _bars(base: alt.Chart, rows: pd.DataFrame, _: dict[str, Any]) -> list[alt.Chart]:
    side = base.encode(xOffset=alt.XOffset("series:N", sort=list(dict.fromkeys(rows["series"]))))
    return [side.mark_bar(), _interval(side).encode(color=alt.value(INK))]


def _level(base: alt.Chart, _: pd.DataFrame, channels: dict[str, Any]) -> list[alt.Chart]:
    band = base.mark_rect(fillOpacity=BAND).transform_filter(KNOWN).encode(y="low:Q", y2="high:Q")
    return [band, base.mark_rule(strokeWidth=1.8).encode(strokeDash=channels["strokeDash"])]


def _line(base: alt.Chart, rows: pd.DataFrame, channels: dict[str, Any]) -> list[alt.Chart]:
    """Only the markers tell their values: a line and a band would tell those of their first row."""
    mute = base.encode(tooltip=alt.value(None))
    band = mute.mark_area(fillOpacity=BAND).transform_filter(KNOWN).encode(y="low:Q", y2="high:Q")
    line = mute.mark_line(strokeWidth=1.8).encode(strokeDash=channels["strokeDash"])
    by_series = rows.groupby("series")["y"]
    step = np.maximum(1, by_series.transform("size").to_numpy(int) // MARKED)
    marked = rows.loc[by_series.cumcount().to_numpy() % step == 0].drop(columns="kind")
    marks = base.mark_point(filled=True, size=50).encode(shape=channels["shape"])
    return [band, line, marks.properties(data=marked)]


def _points(base: alt.Chart, _: pd.DataFrame, channels: dict[str, Any]) -> list[alt.Chart]:
    return [_interval(base), base.mark_point(filled=True, size=60).encode(shape=channels["shape"])]


def _interval(base: alt.Chart) -> alt.Chart:
    return base.mark_rule(strokeWidth=1.4).transform_filter(KNOWN).encode(y="low:Q", y2="high:Q")


LAYERS = {"bars": _bars, "line": _line, "points": _points, "level": _level}  # from bottom to top


def _x(panel: Panel, rows: pd.DataFrame) -> alt.X:
    title = wrap(panel.x, 38) or None
    x = rows.loc[rows["kind"] != "level", "x"]
    if panel.scale == "category":
        names = list(dict.fromkeys(x))
        turned = -30 if sum(map(len, names)) > 36 else 0
        return alt.X("x:N", title=title, sort=names, axis=alt.Axis(labelAngle=turned, grid=False))
    scale = alt.Scale(zero=False, nice=False, padding=8)
    return alt.X("x:Q", title=title, scale=scale, axis=_axis(x.to_numpy(float)))


def _y(panel: Panel, rows: pd.DataFrame, limits: list[float] | None) -> alt.Y:
    zero = bool((rows["kind"] == "bars").any())
    scale = alt.Scale(zero=zero, domain=limits or alt.Undefined)
    return alt.Y("y:Q", title=wrap(panel.y, 40), scale=scale, axis=_axis(rows["y"].to_numpy(float)))


def _axis(values: np.ndarray) -> alt.Axis:
    """No ticks between a few whole numbers, and 2M for 2 million."""
    few = int(np.ptp(values)) if len(values) and (values == values.round()).all() else 5
    large = np.abs(values).max(initial=0) >= 10_000
    return alt.Axis(format="~s" if large else alt.Undefined, tickCount=min(5, max(1, few)))


def _limits(panels: Iterable[Panel]) -> list[float]:
    """The least and the greatest number on the y-axes of all panels; 0 too if there are bars."""
    columns = [s.data[["y", "low", "high"]].to_numpy(float).ravel() for panel in panels for s in panel.series]
    bars = any(series.kind == "bars" for panel in panels for series in panel.series)
    values = np.concatenate([*columns, [0.0] if bars else []])
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if len(known) else [0.0, 1.0]


def _channels(styles: Mapping[str, Look], width: int) -> dict[str, Any]:
    """Colour, shape and dashes by the name of a series, with one legend for all panels."""
    columns = max(1, int(width / (40 + LETTER * max(map(len, styles), default=0))))
    legend = alt.Legend(orient="bottom", columns=min(columns, len(styles) or 1))

    def channel(kind: Any, values: list[Any]) -> Any:
        return kind("series:N", title=None, legend=legend, scale=alt.Scale(domain=list(styles), range=values))

    return {
        "color": channel(alt.Color, [look.colour for look in styles.values()]),
        "shape": channel(alt.Shape, [look.shape for look in styles.values()]),
        "strokeDash": channel(alt.StrokeDash, [list(look.dashes) for look in styles.values()]),
    }


def _tooltip(panel: Panel) -> list[alt.Tooltip]:
    x = "x:N" if panel.scale == "category" else "x:Q"
    titles = {"series:N": "", x: panel.x or "at", "y:Q": panel.y}
    titles |= {"low:Q": "95 % from", "high:Q": "to", "note:N": "of"}
    return [alt.Tooltip(field, title=title) for field, title in titles.items()]
