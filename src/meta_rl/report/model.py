"""What a report holds, as plain data: figures and page are drawn from it, CSV and JSON keep it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

Kind = Literal["line", "level", "points", "bars"]


@dataclass(frozen=True)
class Series:
    """What one entry of a legend stands for.

    Attributes:
        name: In the legend.
        data: Columns x and y; low and high, the ends of an interval, NaN where there is none; note, a text
            that the page shows beside the values ("" for none). x is a category's name where the panel's
            scale is "category". A level has a single row, whose x is ignored.
        kind: How it is drawn.
        look: What decides colour and marker: a method's name, which looks the same in every figure.
        dashed: For what is secondary, such as returns before adaptation.
    """

    name: str
    data: pd.DataFrame
    kind: Kind = "line"
    look: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: str  # label, with the unit
    y: str
    series: tuple[Series, ...]
    scale: Literal["linear", "log", "category"] = "linear"  # of x


@dataclass(frozen=True)
class Chart:
    """One figure: panels side by side, sharing the y-axis if all its labels are the same."""

    key: str  # file name without suffix
    title: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Verdict:
    """How a method compares with the reference, in a word and in a sentence."""

    method: str
    reference: str
    word: Literal["equivalent", "better", "worse", "undecided"]
    sentence: str


@dataclass(frozen=True)
class RunRecord:
    """How a run was made, as far as its directory says: for the page."""

    name: str
    method: str
    facts: dict[str, str]  # seed, iterations, environment steps, wall time, machine, versions, ...
    commands: tuple[str, ...]
    config: str  # YAML


@dataclass(frozen=True)
class Report:
    """Everything that report.py writes."""

    title: str
    findings: tuple[str, ...]  # sentences; the first is the headline
    summary: pd.DataFrame  # one row a method (and gradient step); column names are headings, cells are texts
    verdicts: tuple[Verdict, ...]
    charts: tuple[Chart, ...]
    runs: tuple[RunRecord, ...]
    skipped: tuple[str, ...] = ()
    videos: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()  # how the statistics were made, margins, intervals
    made: dict[str, Any] = field(default_factory=dict)  # command, date and versions of report.py itself
