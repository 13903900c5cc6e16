"""A chart as plain data, and as a CSV file that holds everything drawn."""

import io
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import ArrayLike

Kind = Literal["line", "level", "points", "bars"]

NUMBERS = ["y", "low", "high"]
COLUMNS = ["panel", "series", "x", *NUMBERS, "note"]
TYPES: Any = {"x": str, "note": str, **dict.fromkeys(NUMBERS, float)}
NO_NUMBER = {name: [""] for name in NUMBERS}
DIGITS = "%.7g"  # what a float32 holds


@dataclass(frozen=True)
class Series:
    """The data behind one entry of a legend.

    Attributes:
        name: The text of the legend entry. A method's name has the same look in every figure.
        data: A row for each point. Columns x and y; low and high, the ends of an interval, NaN where there is
            none; note, a text that the page shows beside the values ("" for none). x is the name of a
            category where the panel's scale is "category", else a number. A "level" has a single row, whose x
            is ignored.
        kind: A line with a band, a horizontal line ("level"), points or bars with error bars.
    """

    name: str
    data: pd.DataFrame
    kind: Kind = "line"


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: str  # label of the x-axis, with the unit
    y: str  # label of the y-axis, with the unit
    series: tuple[Series, ...]
    scale: Literal["linear", "category"] = "linear"  # of the x-axis


@dataclass(frozen=True)
class Chart:
    """One figure: panels side by side, sharing the y-axis if all its labels are the same."""

    key: str  # file name without suffix
    title: str
    caption: str
    panels: tuple[Panel, ...]


def series_data(
    x: ArrayLike, y: ArrayLike, low: ArrayLike = np.nan, high: ArrayLike = np.nan, note: Any = ""
) -> pd.DataFrame:
    """The table for `Series.data`. A single value of low, high or note applies to every row."""
    rows = np.shape(x)
    numbers = {"y": y, "low": low, "high": high}
    columns = {name: np.broadcast_to(np.asarray(values, float), rows) for name, values in numbers.items()}
    return pd.DataFrame({"x": np.asarray(x), **columns, "note": note})


def to_csv(chart: Chart) -> str:
    """The text of the CSV file: a header in YAML behind `#`, then a row for each point.

    Numbers are rounded to seven digits. Draw `from_csv(to_csv(chart))`, not `chart`, to get the same figure
    now and from the file later.
    """
    panels = [
        {**vars(panel), "series": [{"name": series.name, "kind": series.kind} for series in panel.series]}
        for panel in chart.panels
    ]
    header = {**vars(chart), "panels": panels}
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
    """The chart that `to_csv` wrote.

    Raises:
        ValueError, LookupError, TypeError, yaml.YAMLError: if the text is not that of a chart.
    """
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
        series.append(Series(entry["name"], data, entry["kind"]))
    return Panel(header["title"], header["x"], header["y"], tuple(series), header["scale"])


def _text(x: object) -> str:
    return DIGITS % x if isinstance(x, int | float | np.number) else str(x)
