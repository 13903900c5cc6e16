"""A chart as a CSV file that holds everything drawn: a header in YAML behind `#`, then a row a point."""

import io
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.report.model import Chart, Panel, Series

COLUMNS = ["panel", "series", "x", "y", "low", "high", "note"]
NUMBERS = ("y", "low", "high")
TYPES: Any = {"x": str, "note": str, **dict.fromkeys(NUMBERS, float)}
NO_NUMBER = {name: [""] for name in NUMBERS}
DIGITS = "%.7g"  # what a float32 holds


def to_csv(chart: Chart) -> str:
    """The file's text. Numbers have seven digits, so draw what `from_csv` makes of it, not `chart` itself."""
    panels = [
        {
            "title": panel.title,
            "x": panel.x,
            "y": panel.y,
            "scale": panel.scale,
            "series": [
                {"name": s.name, "kind": s.kind, "look": s.look, "dashed": s.dashed} for s in panel.series
            ],
        }
        for panel in chart.panels
    ]
    header = {"key": chart.key, "title": chart.title, "caption": chart.caption, "panels": panels}
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=100)
    lines = [f"# {line}\n" for line in text.splitlines()]
    frames = [
        series.data.assign(panel=i, series=j, x=[_text(x) for x in series.data["x"]])
        for i, panel in enumerate(chart.panels, 1)
        for j, series in enumerate(panel.series, 1)
    ]
    rows = pd.concat(frames)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)
    return "".join(lines) + rows.to_csv(index=False, float_format=DIGITS, lineterminator="\n")


def from_csv(text: str) -> Chart:
    """The chart of a file's text. Raises a ValueError, LookupError, TypeError or YAMLError if it is none."""
    lines = text.splitlines(keepends=True)
    head = [line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines)]
    header = yaml.safe_load("".join(head))
    body = "".join(lines[len(head) :])
    rows = pd.read_csv(io.StringIO(body), dtype=TYPES, keep_default_na=False, na_values=NO_NUMBER)
    panels = tuple(_panel(panel, rows.query("panel == @i")) for i, panel in enumerate(header["panels"], 1))
    return Chart(header["key"], header["title"], header["caption"], panels)


def _panel(header: dict, rows: pd.DataFrame) -> Panel:
    series = []
    for j, entry in enumerate(header["series"], 1):
        data = rows.loc[rows["series"] == j, COLUMNS[2:]].reset_index(drop=True)
        if header["scale"] != "category":
            data["x"] = data["x"].astype(float)
        series.append(Series(data=data, **entry))
    return Panel(header["title"], header["x"], header["y"], tuple(series), header["scale"])


def _text(x: object) -> str:
    return DIGITS % x if isinstance(x, int | float | np.number) else str(x)
